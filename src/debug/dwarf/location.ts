import { AT } from "./codes";
import type { DebugInfo, FunctionEntry } from "./debug-info";
import type { Entry } from "./entry";
import {
  evaluateLocation,
  type FrameContext,
  type Location,
  OPTIMISED,
} from "./location-expression";
import { expressionFor } from "./location-list";

/** The place of a variable or parameter in a frame. */
export function locationOf(
  info: DebugInfo,
  entry: Entry,
  fn: FunctionEntry | undefined,
  frame: FrameContext,
): Location {
  const constant = info.having(entry, AT.constValue);
  if (constant && !entry.attributes.has(AT.location)) return constantOf(constant);
  const expression = expressionFor(entry, AT.location, frame.pc);
  if (!expression) return OPTIMISED;
  const frameBase = (): bigint | undefined => {
    const base = fn && expressionFor(fn.entry, AT.frameBase, frame.pc);
    const at = base && evaluateLocation(base, entry, frame);
    if (at?.kind === "memory") return at.address;
    return at?.kind === "register" ? frame.register(at.register) : undefined;
  };
  return evaluateLocation(expression, entry, { ...wrapped(frame), frameBase });
}

/** Methods stay bound to the frame they came from. */
const wrapped = (frame: FrameContext): FrameContext => ({
  pc: frame.pc,
  base: frame.base,
  register: (n) => frame.register(n),
  read: (a, n) => frame.read(a, n),
  cfa: () => frame.cfa(),
  entryValue: (n) => frame.entryValue?.(n),
});

function constantOf(entry: Entry): Location {
  const value = entry.attributes.get(AT.constValue);
  if (value?.class === "constant") return { kind: "value", value: value.value };
  return value?.class === "block" ? { kind: "bytes", bytes: value.value } : OPTIMISED;
}
