import assert from "node:assert/strict";
import { CR0, CR4 } from "../../../src/x86";
import { isLegal, MODE_CR4, MODE_EFER, modeBits } from "./legal-registers";
import type { PlainVcpu } from "./plain-vcpu";
import type { Processor } from "./processor";
import type { Mode } from "./setup";
import type { World } from "./world";

const sides = (world: World, vcpu: number): readonly [PlainVcpu, Processor] => [
  world.vcpus[vcpu]!,
  world.subject.processors[vcpu]!,
];

/** MOV to CR0 or CR4, WRMSR to EFER on both sides; a value that the manual forbids is left out. */
export function writeRegister(
  world: World,
  vcpu: number,
  register: "cr0" | "cr4" | "efer",
  value: bigint,
): boolean {
  const [plain, processor] = sides(world, vcpu);
  if (!isLegal(plain, register, value)) return false;
  const done = plain.set(register, value);
  assert.equal(processor.write(register, value), done, `mov to ${register}: #GP or none`);
  compareRegisters(plain, processor);
  return done;
}

export function writeCr3(world: World, vcpu: number, value: bigint, noFlush: boolean): boolean {
  const [plain, processor] = sides(world, vcpu);
  const tagged = (plain.cr4 & CR4.PCIDE) !== 0n;
  const done = plain.setCr3(value, noFlush);
  assert.equal(processor.writeCr3(value, tagged && noFlush), done, "mov to cr3: #GP or none");
  compareRegisters(plain, processor);
  return done;
}

/** As an operating system does it: paging off, the new mode's bits, its root, paging on (SDM 3A 9.8.5). */
export function switchMode(world: World, vcpu: number, mode: Mode, cr3: bigint): void {
  const [plain] = sides(world, vcpu);
  const { cr4, efer } = modeBits(mode);
  writeRegister(world, vcpu, "cr4", plain.cr4 & ~CR4.PCIDE);
  writeRegister(world, vcpu, "cr0", plain.cr0 & ~CR0.PG);
  writeRegister(world, vcpu, "efer", (plain.efer & ~MODE_EFER) | efer);
  writeRegister(world, vcpu, "cr4", (plain.cr4 & ~MODE_CR4) | cr4);
  writeCr3(world, vcpu, cr3, false);
  if (mode !== "none") writeRegister(world, vcpu, "cr0", plain.cr0 | CR0.PG);
}

function compareRegisters(plain: PlainVcpu, { cpu }: Processor): void {
  for (const name of ["cr0", "cr3", "cr4", "efer"] as const)
    assert.equal(cpu[name], plain[name], name);
}
