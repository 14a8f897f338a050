import { type Refusal, refuse } from "./refusal";

/** Eras of KVM's MMU: 2.6.35 to 2.6.38, 2.6.39 to 3.6, and today's. */
export type Era = "2010" | "2012" | "modern";

/** Which kernels' MMU is imitated (the seeds' documents differ by era). */
export interface Profile {
  readonly era: Era;
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
