import type { PlainMemory } from "./plain-memory";
import type { PlainVcpu } from "./plain-vcpu";
import {
  entryAddress,
  entryBytesOf,
  levelsOf,
  mapsPage,
  P,
  rootTable,
  shiftOf,
  target,
} from "./plain-walk";

/** An entry that a walk reads. `gpa` is that of a PDPTE in memory, although its register is used. */
export interface PathStep {
  readonly level: number;
  readonly gpa: number;
  /** Undefined where there is no memory. */
  readonly entry: bigint | undefined;
}

/** The entries that translate `va` by the tables as they are, root first, whatever the rights. */
export function pathOf(memory: PlainMemory, vcpu: PlainVcpu, va: bigint): readonly PathStep[] {
  const { mode } = vcpu;
  if (mode === "none") return [];
  const size = entryBytesOf(mode);
  const steps: PathStep[] = [];
  let table = rootTable(mode, vcpu.cr3);
  for (let level = levelsOf(mode); level > 0; level--) {
    const gpa = entryAddress(mode, level, table, va);
    const entry = memory.read(gpa, size);
    steps.push({ level, gpa, entry });
    if (entry === undefined || !(entry & P) || mapsPage(mode, level, entry, vcpu)) break;
    table = target(mode, level, entry, false);
  }
  return steps;
}

/** gpa of `va` by the tables as they are; -1 where nothing is mapped. */
export function translate(memory: PlainMemory, vcpu: PlainVcpu, va: bigint): number {
  const { mode } = vcpu;
  if (mode === "none") return Number(va & 0xffffffffn);
  const last = pathOf(memory, vcpu, va).at(-1)!;
  const { entry, level } = last;
  if (entry === undefined || !(entry & P) || !mapsPage(mode, level, entry, vcpu)) return -1;
  const below = (1n << BigInt(shiftOf(mode, level))) - 1n;
  return target(mode, level, entry, true) + Number(va & below);
}
