import type { Sptep } from "./spte";

/** What a vCPU of 2010 remembers of its writes to guest tables (`last_pt_write_gfn`, `last_pt_write_count`). */
export interface WriteRun {
  gfn: number;
  count: number;
  /** The spte made last for such a write (`last_pte_updated`); -1 = none. */
  updated: Sptep;
}

export const newWriteRun = (): WriteRun => ({ gfn: -1, count: 0, updated: -1 });
