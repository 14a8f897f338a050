import { CR0, CR4, EFER, GPR, S, SEG, type SegIndex, type VcpuCore } from "../x86";
import type { EntryState } from "./loaders/boot-image";

/** Descriptor bits of segments that cover 4 GiB (SDM 3A 3.4.5): G, D or L, P, S, type. */
const ATTR = { code32: 0xc09b, code64: 0xa09b, data: 0xc093 } as const;
const SELECTOR = { code: 0x10, data: 0x18 } as const;
const DATA_SEGMENTS: readonly SegIndex[] = [SEG.ds, SEG.es, SEG.ss, SEG.fs, SEG.gs];

/** Puts a vCPU that was just reset where the boot loader leaves it (platform.md 4). */
export function enterGuest(vcpu: VcpuCore, entry: EntryState): void {
  const { state } = vcpu;
  switch (entry.kind) {
    case "protected":
      state.cr0 = CR0.PE | CR0.ET;
      flatSegments(vcpu, ATTR.code32);
      state.rip = BigInt(entry.eip);
      state.setGpr(GPR.rax, BigInt(entry.eax));
      state.setGpr(GPR.rbx, BigInt(entry.ebx));
      break;
    case "long":
      state.cr3 = BigInt(entry.cr3);
      state.cr4 = CR4.PAE;
      state.efer = EFER.LME | EFER.LMA;
      state.cr0 = CR0.PE | CR0.ET | CR0.PG | CR0.WP;
      flatSegments(vcpu, ATTR.code64);
      state.setU64(S.gdtrBase, BigInt(entry.gdt));
      state.setU32(S.gdtrLimit, entry.gdtLimit);
      state.rip = entry.rip;
      state.setGpr(GPR.rsp, BigInt(entry.stack));
      break;
    case "real":
      realModeCode(vcpu);
      state.rip = BigInt(entry.address);
      state.setGpr(GPR.rsp, BigInt(entry.address));
      state.setGpr(GPR.rdx, BigInt(entry.dl));
      break;
  }
  vcpu.stateChanged();
}

function flatSegments({ state }: VcpuCore, codeAttr: number): void {
  const flat = { base: 0n, lo: 0, hi: 0xffffffff, unusable: false };
  state.setSegment(SEG.cs, { ...flat, selector: SELECTOR.code, attr: codeAttr });
  for (const index of DATA_SEGMENTS)
    state.setSegment(index, { ...flat, selector: SELECTOR.data, attr: ATTR.data });
}

/** After reset CS lies at ffff0000h; a BIOS has long since jumped to segment 0. */
function realModeCode({ state }: VcpuCore): void {
  state.setSegment(SEG.cs, { ...state.segment(SEG.cs), selector: 0, base: 0n });
}
