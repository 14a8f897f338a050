import type { DebugProtocol } from "@vscode/debugprotocol";
import { type Format, formatValue, type Value } from "../debug";
import type { Debuggee } from "./debuggee";

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

export function show(debuggee: Debuggee, value: Value, path: string, format?: Format): Shown {
  const memoryReference = memoryReferenceOf(value);
  const base = {
    value: formatValue(value, format, debuggee.annotate),
    type: value.kind,
    ...(memoryReference ? { memoryReference } : {}),
  };
  if (value.kind === "list" && value.length > 0) {
    const list = value;
    const reference = debuggee.variables.add((start = 0, count = PAGE) =>
      Array.from({ length: Math.max(0, Math.min(count, list.length - start)) }, (_, i) =>
        variable(debuggee, `[${start + i}]`, list.at(start + i), `${path}[${start + i}]`),
      ),
    );
    return { ...base, variablesReference: reference, indexedVariables: list.length };
  }
  const fields = value.kind === "record" || value.kind === "fault" ? (value.fields ?? []) : [];
  if (fields.length === 0) return { ...base, variablesReference: 0 };
  const reference = debuggee.variables.add(() =>
    fields.map((field) =>
      variable(debuggee, field.name, field.value(), path && `${path}.${field.name}`),
    ),
  );
  return { ...base, variablesReference: reference, namedVariables: fields.length };
}

export function variable(
  debuggee: Debuggee,
  name: string,
  value: Value,
  path: string,
): DebugProtocol.Variable {
  const kinds = contextOf(value);
  return {
    name,
    ...show(debuggee, value, path),
    ...(path ? { evaluateName: path } : {}),
    ...(kinds ? { __vscodeVariableMenuContext: kinds } : {}),
  };
}

/** The bytes a value stands for: its own, or those an address names. */
function memoryReferenceOf(value: Value): string | undefined {
  const at = value.place ?? (value.kind === "address" ? value : undefined);
  if (!at) return undefined;
  const root = at.root === undefined ? "" : `@0x${at.root.toString(16)}`;
  return `${at.space}${root}:0x${at.value.toString(16)}`;
}

function contextOf(value: Value): string | undefined {
  if (value.kind === "address") return value.space;
  if (value.place) return value.place.space === "hpa" ? "spte" : "gpte";
  return undefined;
}
