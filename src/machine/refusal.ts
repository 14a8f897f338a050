/** A request that was not carried out. `text` is one sentence for the person: what, where, what to do. */
export interface Refusal {
  readonly kind: "refused";
  readonly text: string;
}

export const refuse = (text: string): Refusal => ({ kind: "refused", text });

/** A number as users read addresses. */
export const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
