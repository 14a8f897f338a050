import { AT, TAG } from "../dwarf/codes";
import type { DebugInfo, FunctionEntry } from "../dwarf/debug-info";
import type { Entry } from "../dwarf/entry";
import { locationOf } from "../dwarf/location";
import type { FrameContext, Location } from "../dwarf/location-expression";
import { covers, rangesOf } from "../dwarf/ranges";
import type { CType } from "../dwarf/type";
import { typeOf } from "../dwarf/type-reader";
import type { Image } from "../symbols/image";
import { stackMemory } from "../unwind/stack-memory";
import { cValue } from "./c-value";
import { type Scope, stateOf } from "./scope";
import { addressIn, none, type Value } from "./value";

/** A C variable that can be seen from a frame. */
export interface Variable {
  readonly name: string;
  readonly kind: "parameter" | "local" | "global";
  readonly type: string;
  readonly value: () => Value;
}

/** Parameters and locals of the selected frame; an inner block's name hides an outer one's. */
export function localsOf(scope: Scope): readonly Variable[] {
  const at = scope.frame?.at ?? stateOf(scope).rip;
  const found = scope.symbols.functionAt(at);
  if (!found) return [];
  const { image, fn } = found;
  const byName = new Map<string, Variable>();
  for (const entry of visible(fn.entry, at - image.base)) {
    const name = image.info.nameOf(entry);
    if (name === undefined) continue;
    const kind = entry.tag === TAG.formalParameter ? "parameter" : "local";
    byName.delete(name);
    byName.set(name, variable(scope, image, fn, entry, name, kind));
  }
  return [...byName.values()];
}

/** A global variable of any image, by name. */
export function globalNamed(scope: Scope, name: string): Variable | undefined {
  for (const image of scope.symbols.images) {
    const entry = image.info.global(name);
    if (entry) return variable(scope, image, undefined, entry, name, "global");
  }
  return undefined;
}

/** Variables in scope at an address, outermost block first. */
function visible(scope: Entry, address: bigint): Entry[] {
  const entries: Entry[] = [];
  for (const child of scope.children) {
    if (child.tag === TAG.formalParameter || child.tag === TAG.variable) entries.push(child);
    const block = child.tag === TAG.lexicalBlock || child.tag === TAG.inlinedSubroutine;
    if (block && covers(rangesOf(child), address)) entries.push(...visible(child, address));
  }
  return entries.filter((entry) => !entry.flag(AT.declaration));
}

function variable(
  scope: Scope,
  image: Image,
  fn: FunctionEntry | undefined,
  entry: Entry,
  name: string,
  kind: Variable["kind"],
): Variable {
  const type = typeOf(image.info, entry);
  return {
    name,
    kind,
    type: type.name,
    value: () => readVariable(scope, image.info, image.base, fn, entry, type),
  };
}

function readVariable(
  scope: Scope,
  info: DebugInfo,
  base: bigint,
  fn: FunctionEntry | undefined,
  entry: Entry,
  type: CType,
): Value {
  const frame = contextOf(scope, base);
  return placed(scope, type, frame, locationOf(info, entry, fn, frame));
}

function placed(scope: Scope, type: CType, frame: FrameContext, location: Location): Value {
  switch (location.kind) {
    case "memory":
      return cValue(scope, type, { kind: "memory", at: addressIn("gva", location.address) });
    case "register": {
      const value = frame.register(location.register);
      if (value === undefined) return none("kept in a register the caller may have changed");
      return cValue(scope, type, { kind: "bytes", bytes: littleEndian(value) });
    }
    case "value":
      return cValue(scope, type, { kind: "bytes", bytes: littleEndian(location.value) });
    case "bytes":
      return cValue(scope, type, location);
    case "gone":
      return none(location.why);
  }
}

function littleEndian(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
  return bytes;
}

function contextOf(scope: Scope, base: bigint): FrameContext {
  const memory = stackMemory(scope.machine, scope.vcpu);
  const { frame } = scope;
  return {
    pc: (frame?.at ?? stateOf(scope).rip) - base,
    base,
    register: (number) => frame?.registers.get(number),
    read: (address, size) => memory.read(address, size),
    cfa: () => frame?.cfa,
  };
}
