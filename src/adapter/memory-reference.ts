import { type Gpa, type Gva, gpa, gva, type Hpa, type Hva, hpa, hva } from "../x86";

/**
 * A memory reference as handed to clients: `gva:0x…`, `gva@0x<root>:0x…`, `gpa:0x…`, `hva:0x…`,
 * `hpa:0x…`; bare `0x…` or digits are a gva. Prefixes stand in references only, never in the
 * `address` of a response, which clients read as a number.
 */
export type Place =
  | { readonly space: "gva"; readonly address: Gva; readonly root?: Gpa }
  | { readonly space: "gpa"; readonly address: Gpa }
  | { readonly space: "hva"; readonly address: Hva }
  | { readonly space: "hpa"; readonly address: Hpa };

const FORM = /^(?:(gva|gpa|hva|hpa)(?:@(0x[0-9a-f]+))?(?:#\d+)?:)?(0x[0-9a-f]+|\d+)$/i;

/** `undefined` for text that is no reference, or an address beyond its space. */
export function parsePlace(reference: string): Place | undefined {
  const match = FORM.exec(reference.trim());
  if (!match) return undefined;
  const value = BigInt(match[3] ?? "0");
  switch (match[1]?.toLowerCase()) {
    case undefined:
    case "gva":
      if (value >= 1n << 64n) return undefined;
      return {
        space: "gva",
        address: gva(value),
        ...(match[2] ? { root: gpa(Number(BigInt(match[2]))) } : {}),
      };
    case "gpa":
      return value < 1n << 52n ? { space: "gpa", address: gpa(Number(value)) } : undefined;
    case "hva":
      return value < 1n << 52n ? { space: "hva", address: hva(Number(value)) } : undefined;
    default:
      return value < 1n << 52n ? { space: "hpa", address: hpa(Number(value)) } : undefined;
  }
}

/** The place `offset` bytes further on; `undefined` when that leaves the space. */
export function moved(place: Place, offset: number): Place | undefined {
  if (place.space === "gva") {
    const address = place.address + BigInt(offset);
    if (address < 0n || address >= 1n << 64n) return undefined;
    return { ...place, address: gva(address) };
  }
  const address = place.address + offset;
  if (address < 0 || address >= 2 ** 52) return undefined;
  return { ...place, address } as Place;
}

export const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

/** The reference of an address in a space, as `parsePlace` reads it. */
export function formatPlace({
  space,
  address,
  root,
}: {
  readonly space: string;
  readonly address: number | bigint;
  readonly root?: number | bigint | undefined;
}): string {
  return `${space}${root === undefined ? "" : `@${hex(root)}`}:${hex(address)}`;
}
