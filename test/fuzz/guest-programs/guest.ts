import type { Machine, MachineOptions } from "../../../src/machine";
import { CR0, CR4, EFER, FLAG, gpa, S, SEG } from "../../../src/x86";
import { Code, guestImage, machineWith } from "../../machine/guest-code";
import { gdt, handlers, idt, SELECTOR, tss, tssOf, tssSelector } from "./descriptors";
import * as at from "./layout";
import { initialTables } from "./tables";

/** A guest's code: one stream for each vCPU. */
export interface GuestProgram {
  readonly mode: at.PagedMode;
  readonly code: readonly Uint8Array[];
}

/** jmp esi, where a fetch from a tested page comes to. */
const BACK = [0xff, 0xe6];

/** A machine with the program in memory and every vCPU at its beginning, put there from outside. */
export function guestMachine(program: GuestProgram, options: Partial<MachineOptions>): Machine {
  const { mode, code } = program;
  const machine = machineWith(guestImage(new Code().hlt), {
    memory: at.MEMORY,
    vcpus: code.length,
    cpu: "max",
    ...options,
  });
  const write = (address: number, bytes: Uint8Array): void => {
    machine.gpa.write(gpa(address), bytes);
  };
  write(at.GDT, gdt(mode, code.length));
  write(at.IDT, idt(mode));
  write(at.HANDLERS, handlers(mode));
  write(at.ROOTS[0], initialTables(mode));
  for (const frame of at.FRAMES) write(frame, Uint8Array.from(BACK));
  for (let page = 0; page < at.PAGES; page++)
    write(at.LARGE_FRAME + 0x1000 * page, Uint8Array.from(BACK));
  for (const [vcpu, bytes] of code.entries()) {
    write(at.codeOf(vcpu), bytes);
    write(tssOf(vcpu), tss(mode, vcpu));
    start(machine, mode, vcpu);
  }
  return machine;
}

/** Registers of a vCPU as its code begins: ring 0, paging on. */
function start(machine: Machine, mode: at.PagedMode, vcpu: number): void {
  const { state } = machine.vcpus[vcpu]!;
  const long = at.isLong(mode);
  for (let register = 0; register < 16; register++) state.setGpr(register, 0n);
  state.setGpr(4, BigInt(at.stackTop(vcpu)));
  const flat = { base: 0n, lo: 0, hi: 0xffffffff, unusable: false };
  state.setSegment(SEG.cs, { ...flat, selector: SELECTOR.code, attr: long ? 0xa09b : 0xc09b });
  state.setSegment(SEG.ss, { ...flat, selector: SELECTOR.data, attr: 0xc093 });
  // Of ring 3, so that going there does not take them away.
  for (const data of [SEG.es, SEG.ds])
    state.setSegment(data, { ...flat, selector: SELECTOR.userData, attr: 0xc0f3 });
  const tr = { base: BigInt(tssOf(vcpu)), lo: 0, hi: 0x67, unusable: false, attr: 0x8b };
  state.setSegment(SEG.tr, { ...tr, selector: tssSelector(vcpu) });
  state.setU64(S.gdtrBase, BigInt(at.GDT));
  state.setU32(S.gdtrLimit, 0xfff);
  state.setU64(S.idtrBase, BigInt(at.IDT));
  state.setU32(S.idtrLimit, 0xfff);
  state.efer = EFER.NX | (long ? EFER.LME | EFER.LMA : 0n);
  state.cr3 = BigInt(at.ROOTS[0]);
  state.cr4 = CR4.PSE | (mode === "32-bit" ? 0n : CR4.PAE) | (mode === "5-level" ? CR4.LA57 : 0n);
  state.cr0 = CR0.PE | CR0.PG | CR0.WP | CR0.ET;
  state.rflags = 2n & ~FLAG.IF;
  state.rip = BigInt(at.codeOf(vcpu));
  state.setU32(S.activity, 0);
}
