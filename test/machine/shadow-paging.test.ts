import assert from "node:assert/strict";
import type { MachineOptions } from "../../src/machine";
import { CR0, CR4, EFER, GPR } from "../../src/x86";
import { LongGuest, PTE } from "./long-guest";

/** mov rax, [rbx] */
const LOAD = [0x48, 0x8b, 0x03];
/** mov [rbx], rax */
const STORE = [0x48, 0x89, 0x03];
const CLAC = [0x0f, 0x01, 0xca];
const STAC = [0x0f, 0x01, 0xcb];
const HLT = 0xf4;
const PAGE = 0x40000000n;

/** One leaf and one access to it; what the guest sees of it. */
interface Case {
  readonly name: string;
  readonly code: readonly number[];
  readonly cpu?: string;
  readonly levels?: 4 | 5;
  /** Where the leaf is, its bits, and its level. */
  readonly leaf: readonly [va: bigint, at: bigint, bits: bigint, level?: number];
  readonly va?: bigint;
  readonly cr0?: bigint;
  readonly cr4?: bigint;
  readonly efer?: bigint;
}

const CASES: readonly Case[] = [
  {
    name: "F-019 five levels",
    code: LOAD,
    cpu: "+la57",
    levels: 5,
    leaf: [1n << 55n, 0x300000n, PTE.P],
  },
  {
    name: "F-019 not canonical for five levels",
    code: LOAD,
    cpu: "+la57",
    levels: 5,
    leaf: [PAGE, 0x300000n, PTE.P],
    va: 1n << 56n,
  },
  { name: "F-024 a gigabyte page", code: LOAD, leaf: [0x8000000000n, 0n, PTE.P, 3] },
  {
    name: "F-024 a gigabyte page where CPUID has none",
    code: LOAD,
    cpu: "-page1gb",
    leaf: [0x8000000000n, 0n, PTE.P, 3],
  },
  {
    name: "F-028 NX with EFER.NX off",
    code: LOAD,
    leaf: [PAGE, 0x300000n, PTE.P | PTE.NX],
    efer: EFER.NX,
  },
  {
    name: "F-025 a write with CR0.WP off",
    code: STORE,
    leaf: [PAGE, 0x300000n, PTE.P | PTE.U],
    cr0: CR0.WP,
  },
  { name: "F-025 a write with CR0.WP on", code: STORE, leaf: [PAGE, 0x300000n, PTE.P | PTE.U] },
  {
    name: "F-029 SMAP, then AC",
    code: [...STAC, ...LOAD, ...CLAC, ...LOAD],
    leaf: [PAGE, 0x300000n, PTE.P | PTE.U],
    cr4: CR4.SMAP,
  },
  {
    name: "F-029 F-129 SMAP with CR0.WP off, then no AC",
    code: [...STAC, ...STORE, ...LOAD, ...CLAC, ...LOAD],
    leaf: [PAGE, 0x300000n, PTE.P | PTE.U],
    cr0: CR0.WP,
    cr4: CR4.SMAP,
  },
  {
    name: "F-029 SMEP",
    code: [0xff, 0xe3], // jmp rbx
    leaf: [PAGE, 0x300000n, PTE.P | PTE.U],
    cr4: CR4.SMEP,
  },
  ...[36, 40, 46, 52].map((bits) => ({
    name: `F-001 MAXPHYADDR ${bits}`,
    code: LOAD,
    cpu: `phys-bits=${bits}`,
    leaf: [PAGE, 0x300000n, PTE.P | (bits < 52 ? 1n << BigInt(bits) : 0n)] as const,
  })),
];

/** Clears the bits of CR0 and EFER that a case names, and sets those of CR4. */
function outcome(one: Case, options: Partial<MachineOptions>) {
  const guest = new LongGuest(
    [...one.code, HLT],
    { ...options, ...(one.cpu === undefined ? {} : { cpu: one.cpu }) },
    one.levels,
  );
  guest.map(...one.leaf);
  guest.write(0x300000, 0x1122334455667788n);
  const { state } = guest;
  state.cr0 &= ~(one.cr0 ?? 0n);
  state.cr4 |= one.cr4 ?? 0n;
  state.efer &= ~(one.efer ?? 0n);
  state.setGpr(GPR.rbx, one.va ?? one.leaf[0]);
  state.setGpr(GPR.rax, 5n);
  const stop = guest.machine.run(100).kind;
  return {
    stop,
    exceptions: guest.exceptions,
    rax: state.gpr(GPR.rax),
    retired: guest.retired,
    data: guest.quad(0x300000),
  };
}

describe("a 64-bit guest sees the same of paging under none and under shadow", () => {
  for (const one of CASES)
    it(one.name, () => {
      const none = outcome(one, { mmu: "none" });
      assert.deepEqual(outcome(one, { mmu: "shadow", check: true }), none);
    });
});
