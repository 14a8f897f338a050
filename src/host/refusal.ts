import type { Hva } from "../x86";

/** A request that was not carried out; `reason` says what, where and what to do. */
export interface Refused {
  readonly kind: "refused";
  readonly reason: string;
}

export const refused = (reason: string): Refused => ({ kind: "refused", reason });
export const hex = (value: number): string => `0x${value.toString(16)}`;
/** How a refusal names a place in the process. */
export const at = (address: Hva): string => `hva ${hex(address)}`;
