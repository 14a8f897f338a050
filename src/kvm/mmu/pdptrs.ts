import { type Gpa, gpa, isBadPdpte, loadPdptes, type PassivePort, pdpteTable } from "../../x86";
import type { MmuContext } from "./context";
import { freeCurrentRoot } from "./roots";
import type { MmuState } from "./state";

/**
 * Reads the four PDPTEs that CR3 names into the vCPU (load_pdptrs; SDM 3A 4.4.1): memory is not looked at
 * again until the next load. False, with nothing changed, when a present one has a reserved bit set: the
 * instruction ends in #GP(0). A shadow root was built from the old ones and goes when they have changed.
 */
export function loadPdptrs(state: MmuState, context: MmuContext, physicalBits: number): boolean {
  const { cpu, pdptrs } = context;
  const before = pdptrs.slice();
  const port: PassivePort<Gpa> = {
    load: (at, bytes, entry) => state.guest.readEntry(at, bytes, entry),
  };
  if (!loadPdptes(port, gpa(pdpteTable(cpu.cr3)), physicalBits, pdptrs)) return false;
  cpu.setPdptes(pdptrs);
  const changed = pdptrs.some((word, i) => word !== before[i]);
  if (changed && !context.tdp) freeCurrentRoot(state, context);
  return true;
}

/**
 * With nested paging PDPTEs are memory: brings the one for `va` up to date. False when it is present
 * with a reserved bit set.
 */
export function readPdptr(
  state: MmuState,
  { cpu, pdptrs }: MmuContext,
  va: bigint,
  physicalBits: number,
): boolean {
  const entry = state.scratchEntry;
  const index = Number((va >> 30n) & 3n);
  if (!state.guest.readEntry(gpa(pdpteTable(cpu.cr3) + 8 * index), 8, entry))
    entry.lo = entry.hi = 0;
  pdptrs[2 * index] = entry.lo;
  pdptrs[2 * index + 1] = entry.hi;
  return !isBadPdpte(entry, physicalBits);
}
