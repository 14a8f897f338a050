import { type Gpa, gpa, loadPdptes, type PassivePort, pdpteTable } from "../../x86";
import type { MmuContext } from "./context";
import { freeCurrentRoot } from "./roots";
import type { MmuState } from "./state";

/**
 * Reads the four PDPTEs that CR3 names into the vCPU (load_pdptrs; SDM 3A 4.4.1): memory is not looked at
 * again until the next load. False, with nothing changed, when a present one has a reserved bit set: the
 * instruction ends in #GP(0). The root was built from the old ones and goes when they have changed.
 */
export function loadPdptrs(state: MmuState, context: MmuContext, physicalBits: number): boolean {
  const { cpu, pdptrs } = context;
  const before = pdptrs.slice();
  const port: PassivePort<Gpa> = {
    load: (at, bytes, entry) => state.guest.readEntry(at, bytes, entry),
  };
  if (!loadPdptes(port, gpa(pdpteTable(cpu.cr3)), physicalBits, pdptrs)) return false;
  cpu.setPdptes(pdptrs);
  if (pdptrs.some((word, i) => word !== before[i])) freeCurrentRoot(state, context);
  return true;
}
