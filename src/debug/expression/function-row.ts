import type { Result } from "./arithmetic";
import type { Scope } from "./scope";
import type { AddressSpace } from "./space";
import { type AddressValue, addressIn, kindName, numberOf, type Value } from "./value";

/** One function of the language. */
export interface FunctionRow {
  readonly name: string;
  /** As help and messages show it: `spte(gva[, level])`. */
  readonly signature: string;
  readonly about: string;
  readonly parameters: readonly Parameter[];
  /** Values it needs at least; all of them when absent. */
  readonly least?: number;
  /** A text is the reason why the call makes no sense. */
  apply(scope: Scope, values: readonly Value[]): Result;
}

export interface Parameter {
  /** Why this value will not do; `undefined` when it will. */
  refuse(value: Value): string | undefined;
}

/** An address of one of these spaces; a plain number is taken as the first. */
export const anAddress = (...spaces: readonly AddressSpace[]): Parameter => ({
  refuse(value) {
    if (value.kind === "address" && !spaces.includes(value.space)) {
      const [first = "gva"] = spaces;
      return `it needs a ${spaces.join(" or ")}, not a ${value.space}: convert with ${first}(…)`;
    }
    return numberOf(value) === undefined
      ? `it needs an address, not ${kindName(value)}`
      : undefined;
  },
});

export const aNumber: Parameter = {
  refuse: (value) =>
    numberOf(value) === undefined ? `it needs a number, not ${kindName(value)}` : undefined,
};

export const aText: Parameter = {
  refuse: (value) =>
    value.kind === "text" ? undefined : `it needs a text, not ${kindName(value)}`,
};

export const anything: Parameter = { refuse: () => undefined };

/** The address a checked argument is; numbers are of `space`. */
export function addressOf(value: Value | undefined, space: AddressSpace): AddressValue {
  if (value?.kind === "address") return value;
  return addressIn(space, (value && numberOf(value)) ?? 0n);
}

export const numberOr = (value: Value | undefined, otherwise: number): number => {
  const number = value && numberOf(value);
  return number === undefined ? otherwise : Number(number);
};
