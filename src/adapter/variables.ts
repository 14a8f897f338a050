import type { DebugProtocol } from "@vscode/debugprotocol";
import { type Format, formatValue, parseExpression, type Value } from "../debug";
import { annotating } from "./annotate";
import type { Debuggee } from "./debuggee";
import { type VariablesRange, within } from "./handles";
import { formatPlace } from "./memory-reference";

/** Items of a list a client is shown at once when it does not ask for a range. */
const PAGE = 200;

/** A value as DAP shows it: one line, and a reference to its parts when it has any. */
export interface Shown {
  readonly value: string;
  readonly type: string;
  readonly variablesReference: number;
  readonly namedVariables?: number;
  readonly indexedVariables?: number;
  readonly memoryReference?: string;
}

/** `path` is the expression that gives this value; empty when there is none. */
export function show(debuggee: Debuggee, value: Value, path: string, format?: Format): Shown {
  const memoryReference = memoryReferenceOf(value);
  const base = {
    value: formatValue(value, format, annotating(debuggee.machine, debuggee.symbols)),
    type: value.kind,
    ...(memoryReference ? { memoryReference } : {}),
  };
  if (value.kind === "list" && value.length > 0) {
    const indexedVariables = value.length;
    const read = (range: VariablesRange) => items(debuggee, value, path, range);
    return { ...base, variablesReference: debuggee.variables.add({ read }), indexedVariables };
  }
  const fields = value.kind === "record" || value.kind === "fault" ? (value.fields ?? []) : [];
  if (fields.length === 0) return { ...base, variablesReference: 0 };
  const read = (range: VariablesRange) =>
    within(fields, range).map(({ name, value: part }) =>
      variable(debuggee, name, part(), path && `${operand(path)}.${name}`, formatOf(range)),
    );
  return {
    ...base,
    variablesReference: debuggee.variables.add({ read }),
    namedVariables: fields.length,
  };
}

export function variable(
  debuggee: Debuggee,
  name: string,
  value: Value,
  path: string,
  format?: Format,
): DebugProtocol.Variable {
  const kinds = contextOf(value);
  return {
    name,
    ...show(debuggee, value, path, format),
    ...(path ? { evaluateName: path } : {}),
    ...(kinds ? { __vscodeVariableMenuContext: kinds } : {}),
  };
}

/** The format of a client that wishes all numbers in hexadecimal. */
export const formatOf = (wish: { readonly hex?: boolean } | undefined): Format | undefined =>
  wish?.hex ? "x" : undefined;

function items(
  debuggee: Debuggee,
  list: Value & { readonly kind: "list" },
  path: string,
  range: VariablesRange,
): DebugProtocol.Variable[] {
  const { start = 0, count } = range;
  const length = Math.max(0, Math.min(count || PAGE, list.length - start));
  return Array.from({ length }, (_, i) => {
    const name = `[${start + i}]`;
    const itsPath = path && `${operand(path)}${name}`;
    return variable(debuggee, name, list.at(start + i), itsPath, formatOf(range));
  });
}

/** The expression in parentheses where `.name` behind it would bind to its last part only. */
function operand(path: string): string {
  const parsed = parseExpression(path);
  const kind = parsed.ok ? parsed.parsed.expression.kind : "";
  return ["unary", "binary", "choice"].includes(kind) ? `(${path})` : path;
}

/** The bytes a value stands for: its own, or those an address names. */
function memoryReferenceOf(value: Value): string | undefined {
  const at = value.place ?? (value.kind === "address" ? value : undefined);
  return at && formatPlace({ space: at.space, address: at.value, root: at.root });
}

function contextOf(value: Value): string | undefined {
  if (value.kind === "address") return value.space;
  if (value.place) return value.place.space === "hpa" ? "spte" : "gpte";
  return undefined;
}
