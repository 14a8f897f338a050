// Mutants that no test can notice, since what they change makes no difference, and why.

/** A row: the mutant's id, what it is, why nothing depends on it. */
const HARMLESS = [
  ["15a7a7da", "dirty-log.ts: `word <= bitmap.length`", "beyond its end a bitmap reads as no bits"],
  [
    "d34ae74d",
    "fault-state.ts: hugePageDisallowed begins as true",
    "adjustLevel sets it before anybody looks",
  ],
  ["7bb88256", "fault-state.ts: hugePageDisallowed is true at each fault's begin", "the same"],
  [
    "eb8fb37a",
    "fault-state.ts: the address begins as nothing",
    "each fault begins with its own before anybody looks",
  ],
  [
    "3a970d5e",
    "fast-page-fault.ts: a fault with RSVD may take the fast path",
    "such a fault is of an mmio mark, and the fast path leaves alone what is not present",
  ],
  [
    "3e776208",
    "map.ts: a mark is as write-protected as what was made before it",
    "then pages of its gfn are looked for, of which a gfn in no slot has none, and it is emulated as well",
  ],
  ["c06ea09f", "walk-guest.ts: steps of a walk are told although nobody listens", "nobody listens"],
  [
    "0803628b",
    "shadow-page.ts: no word of the bitmap is passed over",
    "the search goes on bit by bit, to the same result",
  ],
  ["44fb0b17", "shadow-page.ts: `index <= ENTRIES`", "beyond its end the bitmap reads as no bits"],
  [
    "0c2a6c33",
    "state.ts: slotsChanging begins as true",
    "the first slot that is set clears it, and without slots there is nothing to check",
  ],
  [
    "5f32d09a",
    "state.ts: the low half of a new frame's entries is not emptied",
    "it is 0 in every format, and frames come cleared",
  ],
  [
    "d48752d1",
    "unsync.ts: clearPath clears nothing",
    "both callers search again until nothing is found, and the search clears stale marks",
  ],
  [
    "56db2363",
    "recover.ts: the visit of a root answers true",
    "its caller has flushed by then and does not ask",
  ],
  [
    "db58a9e3",
    "sync.ts: a flush between batches is not remembered",
    "the last batch flushes once more than it need",
  ],
  [
    "47ae8f21",
    "age.ts: a leaf that is not young asks for a flush",
    "nobody takes what the walk answers, but for one flush more before mmu_lock is dropped",
  ],
  [
    "f55f6be4",
    "clear-dirty.ts: a leaf of a slot that begins to log asks for a flush",
    "as in age.ts: the caller flushes in any case",
  ],
  [
    "a96f297d",
    "unsync.ts: a page without unsync children is searched for them",
    "it has no mark, so that nothing is found",
  ],
  [
    "4062f600",
    "visit.ts: what was flushed before the lock was dropped is owed again",
    "the walk, or its caller, flushes once more than it need",
  ],
  [
    "5b9a83a2",
    "walk-guest.ts: a gpte that cannot be read has not changed",
    "its slot is gone, which makes all pages obsolete, and isFaultStale sees that first",
  ],
];

/** Why nobody notices the mutant, where somebody has found out. */
export const explanation = ({ id }) => HARMLESS.find((row) => row[0] === id)?.[2];

/** Rows whose line has changed since. */
export const explainsNothing = (all) =>
  HARMLESS.filter(([id]) => !all.some((each) => each.id === id)).map(
    ([id, what]) => `${id}, ${what}`,
  );
