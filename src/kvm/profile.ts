import { type Refusal, refuse } from "./refusal";

/** Which kernels' MMU is imitated (the seeds' documents differ by era). */
export interface Profile {
  readonly era: "modern";
  /** Releases whose behaviour it is. */
  readonly kernels: string;
}

export const MODERN: Profile = { era: "modern", kernels: "6.12 and later" };

/** Eras that are planned: named so that they are refused with the right words. */
const PLANNED = ["2010", "2012"];

export function profileOf(era: string): Profile | Refusal {
  if (era === MODERN.era) return MODERN;
  const known = PLANNED.includes(era) ? "is not available in this version" : "is not an era";
  return refuse("EINVAL", `era "${era}" ${known}: use "modern"`);
}
