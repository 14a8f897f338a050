import type { DebugProtocol } from "@vscode/debugprotocol";
import { MNEMONICS } from "../debug";
import type { TraceEvent } from "../x86";
import type { Debuggee } from "./debuggee";
import { hex } from "./memory-reference";
import { type Refusal, refusals } from "./refusal";

/** What the guest was stopped by, in words; asked for after a stop with reason "exception". */
export function exceptionInfo(
  debuggee: Debuggee,
): DebugProtocol.ExceptionInfoResponse["body"] | Refusal {
  const halt = debuggee.lastHalt;
  const breakMode = "always";
  switch (halt?.kind) {
    case "event": {
      const details = { message: halt.text, stackTrace: fieldsOf(halt.event) };
      return { exceptionId: nameOf(halt.event), description: halt.text, breakMode, details };
    }
    case "shutdown":
    case "run-error":
    case "unimplemented":
      return { exceptionId: halt.kind, description: halt.text, breakMode };
    case "invariant":
      return { exceptionId: halt.kind, description: halt.violations.join("\n"), breakMode };
    default:
      return refusals.noException();
  }
}

/** `#PF page fault` of an exception, the event's own name of anything else. */
function nameOf({ name, fields }: TraceEvent): string {
  if (name !== "exception") return name;
  return MNEMONICS[Number(fields.vector)] ?? `vector ${fields.vector}`;
}

function fieldsOf({ fields }: TraceEvent): string {
  return Object.entries(fields)
    .map(([name, value]) => {
      const isNumber = typeof value === "bigint" || typeof value === "number";
      return `${name} = ${isNumber ? hex(value) : value}`;
    })
    .join("\n");
}
