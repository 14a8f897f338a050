import type { FieldValue } from "../../x86";
import { nearest } from "../nearest";
import { bitsValue } from "./bits";
import { FUNCTIONS } from "./functions";
import { PAGE_FAULT_BITS } from "./register-bits";
import { REGISTERS, registerNamed, registerValue } from "./registers";
import { registerIn, type Scope, stateOf } from "./scope";
import { addressIn, boolean, integer, none, text, type Value } from "./value";
import { globalNamed, localsOf } from "./variables";

/**
 * What a bare name means. First found wins: a field of the event, a local, a global, a register, the
 * machine's own words, a symbol.
 */
export function lookUp(scope: Scope, name: string): Value | undefined {
  const event = fieldNamed(scope, name);
  if (event) return event;
  const variable = localsOf(scope).find((v) => v.name === name) ?? globalNamed(scope, name);
  if (variable) return variable.value();
  return register(scope, name) ?? WORDS.get(name)?.(scope) ?? symbol(scope, name);
}

/** `$name`: a register and nothing else. */
export function register(scope: Scope, name: string): Value | undefined {
  const row = registerNamed(name);
  if (!row) return undefined;
  const value = registerIn(scope, row.name, row.read(stateOf(scope)));
  return value === undefined ? none(`not known in this frame`) : registerValue(row, value);
}

/** `&name`: the address of a symbol. */
export function symbol(scope: Scope, name: string): Value | undefined {
  const found = scope.symbols.symbol(name);
  return found && addressIn("gva", found.address);
}

/** The known name nearest to a misspelt one. */
export function nearestName(scope: Scope, name: string): string | undefined {
  return nearest(name, [...knownNames(scope)]);
}

export function* knownNames(scope: Scope): Iterable<string> {
  yield* Object.keys(scope.fields ?? {});
  yield* localsOf(scope).map((v) => v.name);
  yield* WORDS.keys();
  yield* REGISTERS.map((row) => row.name);
  yield* FUNCTIONS.keys();
  yield* scope.symbols.names();
}

const WORDS: ReadonlyMap<string, (scope: Scope) => Value> = new Map(
  Object.entries({
    true: (_: Scope) => boolean(true),
    false: (_: Scope) => boolean(false),
    none: (_: Scope) => none(),
    tick: ({ machine }: Scope) => integer(machine.tick),
    vcpu: ({ vcpu }: Scope) => integer(vcpu),
    cpl: (scope: Scope) => integer(stateOf(scope).cpl),
  }),
);

/** Fields of events whose numbers are addresses, and of which space. */
const FIELD_SPACES: Readonly<Record<string, "gva" | "gpa" | "hva" | "hpa" | "gfn" | "pfn">> = {
  cr2: "gva",
  gva: "gva",
  rip: "gva",
  gpa: "gpa",
  gfn: "gfn",
  hva: "hva",
  hpa: "hpa",
  pfn: "pfn",
  sptep: "hpa",
  spt: "hpa",
};

function fieldNamed(scope: Scope, name: string): Value | undefined {
  const fields = scope.fields;
  if (!fields || !Object.hasOwn(fields, name)) return undefined;
  return fieldValue(name, fields[name]);
}

/** A field of an event as a value: addresses in their space, error codes with named bits. */
export function fieldValue(name: string, value: FieldValue): Value {
  if (value === undefined) return none();
  if (typeof value === "string") return text(value);
  if (typeof value === "boolean") return boolean(value);
  const number = BigInt.asUintN(64, BigInt(value));
  if (name === "error" || name === "error_code" || name === "pferr")
    return bitsValue(number, PAGE_FAULT_BITS);
  const space = Object.hasOwn(FIELD_SPACES, name) ? FIELD_SPACES[name] : undefined;
  return space ? addressIn(space, number) : integer(number, typeof value === "bigint" ? "x" : "d");
}
