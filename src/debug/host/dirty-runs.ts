import type { MemorySlot } from "../../kvm";
import { type Gfn, gfn, PAGE_SIZE } from "../../x86";

/** Dirty frames that follow each other. */
export interface DirtyRun {
  readonly first: Gfn;
  readonly pages: number;
}

/** Runs of set bits in a dirty bitmap of the slot, rising. */
export function dirtyRuns(
  { baseGfn, npages }: MemorySlot,
  bitmap: Uint32Array,
): readonly DirtyRun[] {
  const runs: DirtyRun[] = [];
  const isSet = (i: number): boolean => (((bitmap[i >>> 5] ?? 0) >>> (i & 31)) & 1) !== 0;
  for (let i = 0; i < npages; i++) {
    if (bitmap[i >>> 5] === 0) i |= 31;
    if (!isSet(i) || i >= npages) continue;
    const first = i;
    while (i + 1 < npages && isSet(i + 1)) i++;
    runs.push({ first: gfn(baseGfn + first), pages: i + 1 - first });
  }
  return runs;
}

/** `gpa 0x9000`, or `gpa 0x9000–0xbfff` for more than one page. */
export function runText({ first, pages }: DirtyRun): string {
  const start = first * PAGE_SIZE;
  const end = start + pages * PAGE_SIZE - 1;
  return `gpa 0x${start.toString(16)}${pages > 1 ? `–0x${end.toString(16)}` : ""}`;
}
