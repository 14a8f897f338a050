import { valueAtEntry } from "../dwarf/call-site";
import { AT, TAG } from "../dwarf/codes";
import type { FunctionEntry } from "../dwarf/debug-info";
import type { Entry } from "../dwarf/entry";
import { locationOf } from "../dwarf/location";
import type { FrameContext, Location } from "../dwarf/location-expression";
import { covers, rangesOf } from "../dwarf/ranges";
import type { CType } from "../dwarf/type";
import { typeOf } from "../dwarf/type-reader";
import type { Image } from "../symbols/image";
import type { Frame } from "../unwind/frame";
import { stackTrace } from "../unwind/stack";
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
    value: () => readVariable(scope, image, fn, entry, type),
  };
}

function readVariable(
  scope: Scope,
  image: Image,
  fn: FunctionEntry | undefined,
  entry: Entry,
  type: CType,
): Value {
  const frame = contextOf(scope, image);
  return placed(scope, type, frame, locationOf(image.info, entry, fn, frame));
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

/** The selected frame. A condition has none selected: it means the innermost. */
const frameOf = (scope: Scope): Frame | undefined =>
  scope.frame ?? stackTrace(scope.machine, scope.vcpu, scope.symbols, 1).frames[0];

function contextOf(scope: Scope, image: Image): FrameContext {
  const memory = stackMemory(scope.machine, scope.vcpu);
  const frame = frameOf(scope);
  const { base } = image;
  return {
    pc: (frame?.at ?? stateOf(scope).rip) - base,
    base,
    register: (number) => frame?.registers.get(number),
    read: (address, size) => memory.read(address, size),
    cfa: () => frame?.cfa,
    entryValue: (register) => entryValueIn(scope, image, register),
  };
}

/** A register as it was when the selected frame's function was entered: its caller may still know. */
function entryValueIn(scope: Scope, image: Image, register: number): bigint | undefined {
  const { symbols } = scope;
  const frame = frameOf(scope);
  if (!frame) return undefined;
  const { frames } = stackTrace(scope.machine, scope.vcpu, symbols);
  const above = frames.findIndex((f) => f.pc === frame.pc && f.cfa === frame.cfa);
  const caller = above < 0 ? undefined : frames[above + 1];
  const callee = image.info.functionAt(frame.at - image.base);
  const calling = caller && image.info.functionAt(caller.at - image.base);
  if (!callee || !calling || frame.kind === "interrupt") return undefined;
  const context = contextOf({ ...scope, frame: caller }, image);
  const behindCall = { ...context, pc: caller.pc - image.base };
  return valueAtEntry(image.info, calling, callee, behindCall, register);
}
