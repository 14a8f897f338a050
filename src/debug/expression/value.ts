import type { CType } from "../dwarf/type";
import type { Problem } from "./problem";
import type { AddressSpace } from "./space";

/** An address with the space it is in. `root`: a gva of another address space than the current one. */
export interface AddressValue {
  readonly kind: "address";
  readonly space: AddressSpace;
  readonly value: bigint;
  readonly root?: bigint;
  /** What a C pointer points to. */
  readonly pointee?: () => CType;
}

/** 64 bits that wrap. `signed` decides comparison, division and decimal printing only. */
export interface IntegerValue {
  readonly kind: "integer";
  readonly value: bigint;
  readonly shown: "d" | "x";
  readonly signed?: boolean;
  /** A name for this very number: an enumerator, a symbol, `'A'`. */
  readonly meaning?: string;
}

export interface Field {
  readonly name: string;
  /** Worked out when looked at. */
  readonly value: () => Value;
}

/** Named parts. One with a `number` counts as that integer: registers and entries with named bits. */
export interface RecordValue {
  readonly kind: "record";
  readonly summary: string;
  readonly fields: readonly Field[];
  readonly number?: bigint;
  /** Names of the flags that are set, for the format `flags`. */
  readonly flags?: string;
}

export interface ListValue {
  readonly kind: "list";
  readonly length: number;
  readonly at: (index: number) => Value;
  readonly summary?: string;
}

/** What an expression is worth. A fault is a value: a watch on an unmapped page says so and stays. */
export type Value = (
  | AddressValue
  | IntegerValue
  | RecordValue
  | ListValue
  | { readonly kind: "boolean"; readonly value: boolean }
  | { readonly kind: "text"; readonly value: string }
  | { readonly kind: "none"; readonly why?: string }
  | { readonly kind: "fault"; readonly text: string; readonly fields?: readonly Field[] }
) & {
  /** Where its bytes are, if it has any. */
  readonly place?: AddressValue;
  /** How many. */
  readonly size?: number;
};

/** An expression that makes no sense: told to the person with the place in the text. */
export interface Wrong extends Problem {
  readonly kind: "wrong";
}

export type Outcome = Value | Wrong;

export const isWrong = (outcome: Outcome): outcome is Wrong => outcome.kind === "wrong";

export const integer = (value: bigint | number, shown: "d" | "x" = "d"): IntegerValue => ({
  kind: "integer",
  value: BigInt.asUintN(64, BigInt(value)),
  shown,
});
export const boolean = (value: boolean): Value => ({ kind: "boolean", value });
export const text = (value: string): Value => ({ kind: "text", value });
export const none = (why?: string): Value =>
  why === undefined ? { kind: "none" } : { kind: "none", why };
export const fault = (why: string, fields?: readonly Field[]): Value =>
  fields ? { kind: "fault", text: why, fields } : { kind: "fault", text: why };
export const listOf = (items: readonly Value[], summary?: string): ListValue => ({
  kind: "list",
  length: items.length,
  at: (index) => items[index] ?? none(),
  ...(summary === undefined ? {} : { summary }),
});
export const addressIn = (
  space: AddressSpace,
  value: bigint | number,
  root?: bigint,
): AddressValue => ({
  kind: "address",
  space,
  value: BigInt.asUintN(64, BigInt(value)),
  ...(root === undefined ? {} : { root }),
});
export const field = (name: string, value: () => Value): Field => ({ name, value });

/** The number a value stands for, if it does. */
export function numberOf(value: Value): bigint | undefined {
  switch (value.kind) {
    case "integer":
    case "address":
      return value.value;
    case "boolean":
      return value.value ? 1n : 0n;
    case "record":
      return value.number;
    default:
      return undefined;
  }
}

/** What counts as true: nonzero numbers, nonempty texts and lists. A fault and none are false. */
export function isTrue(value: Value): boolean {
  if (value.kind === "text") return value.value !== "";
  if (value.kind === "list") return value.length > 0;
  if (value.kind === "record" && value.number === undefined) return true;
  return (numberOf(value) ?? 0n) !== 0n;
}

/** A value's kind, for messages. */
export function kindName(value: Value): string {
  const names = {
    integer: "a number",
    boolean: "yes or no",
    text: "a text",
    none: "nothing",
    fault: "a fault",
    list: "a list",
    record: "a record",
  };
  return value.kind === "address" ? `a ${value.space}` : names[value.kind];
}

/** The field of this name: of a record, a fault, or a list's `length`. */
export function fieldOf(value: Value, name: string): Value | undefined {
  if (value.kind === "list") return name === "length" ? integer(value.length) : undefined;
  const fields = value.kind === "record" || value.kind === "fault" ? value.fields : undefined;
  return fields?.find((f) => f.name === name)?.value();
}

export function fieldNames(value: Value): readonly string[] {
  if (value.kind === "list") return ["length"];
  return value.kind === "record" || value.kind === "fault"
    ? (value.fields ?? []).map((f) => f.name)
    : [];
}
