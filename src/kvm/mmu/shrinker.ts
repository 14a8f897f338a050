import type { Shrinker } from "../../host";
import type { MmuState } from "./state";
import { zapOldest } from "./zap";

/**
 * Shadow pages as memory that the host can have back (mmu_shrinker; gone from 6.13 on): the oldest go.
 * Roots in use stay, so these are all that a VM pins. The guest loses nothing but time.
 */
export class MmuShrinker implements Shrinker {
  constructor(private readonly state: MmuState) {}

  count(): number {
    let pages = 0;
    for (const page of this.state.active) if (page.rootCount === 0) pages++;
    return pages;
  }
  scan(pages: number): number {
    const { state } = this;
    const zapped = zapOldest(state, state.profile.shrinks === "one" ? 1 : pages);
    state.stats.mmu_recycled += zapped;
    return zapped;
  }
}
