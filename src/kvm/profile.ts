import { type Refusal, refuse } from "./refusal";

/** Eras of KVM's MMU: 2.6.35 to 2.6.38, 2.6.39 to 3.6, and today's. */
export type Era = "2010" | "2012" | "modern";

/** Which kernels' MMU is imitated (the seeds' documents differ by era). */
export interface Profile {
  readonly era: Era;
  /** Releases whose behaviour it is. */
  readonly kernels: string;
  /** How often a fault tries to fix an spte without mmu_lock. */
  readonly fastPageFault: "none" | "once" | "retried";
  /** Bugs on purpose. */
  readonly flaws: ReadonlySet<Flaw>;
}

/**
 * A mistake that the locking text of 2012 explains, to be seen at work.
 *
 * - `indirect-fast-path`: the fast page fault also takes entries of indirect pages, whose gfn may
 *   have changed while the frame came back (race 1).
 * - `plain-stores`: entries that others may change are read, then plainly stored, so a D bit set in
 *   between is lost (race 2) and a W set in between is not flushed (race 3).
 */
export type Flaw = "indirect-fast-path" | "plain-stores";

export const MODERN: Profile = {
  era: "modern",
  kernels: "6.12 and later",
  fastPageFault: "retried",
  flaws: new Set(),
};

/** The same kernels with bugs they do not have: for demonstrations. */
export const withFlaws = (profile: Profile, ...flaws: readonly Flaw[]): Profile => ({
  ...profile,
  flaws: new Set(flaws),
});

/** Eras that are planned: named so that they are refused with the right words. */
const PLANNED = ["2010", "2012"];

export function profileOf(era: string): Profile | Refusal {
  if (era === MODERN.era) return MODERN;
  const known = PLANNED.includes(era) ? "is not available in this version" : "is not an era";
  return refuse("EINVAL", `era "${era}" ${known}: use "modern"`);
}
