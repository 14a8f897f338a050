import type { DebugProtocol } from "@vscode/debugprotocol";
import {
  type Completion,
  consoleCommand,
  consoleCompletions,
  evaluate as evaluateIn,
  oneLine,
  underline,
} from "../debug";
import type { Debuggee } from "./debuggee";
import type { FrameHandle } from "./handles";
import { Refusal, refusals } from "./refusal";
import { formatOf, show } from "./variables";

type Evaluated = DebugProtocol.EvaluateResponse["body"];

export function evaluate(
  debuggee: Debuggee,
  { expression, frameId, context, format }: DebugProtocol.EvaluateArguments,
): Evaluated | Refusal {
  const frame = frameOf(debuggee, frameId);
  if (frame instanceof Refusal) return frame;
  const scope = debuggee.scope(frame);
  const command = context === "repl" ? consoleCommand(expression, scope) : undefined;
  if (command) {
    if (!command.ok) return refusals.host(command.why);
    debuggee.edited();
    return { result: command.text, variablesReference: 0 };
  }
  const result = evaluateIn(expression, scope);
  if (!result.ok) {
    // A hover over any word of the source asks: what is no expression has no answer, not an error.
    if (context === "hover") return { result: "", variablesReference: 0 };
    const { problem } = result;
    return refusals.expression(
      context === "repl" ? underline(expression, problem) : oneLine(problem),
    );
  }
  const path = expression.replace(FORMAT, "");
  const wish = result.format ?? formatOf(format);
  const { value, ...rest } = show(debuggee, result.value, path, wish);
  return { result: value, ...rest };
}

/** The format at the end of an expression, which its parts do not take over. */
const FORMAT = /\s*,\s*[a-z]+\s*$/;

/** What the console says to an expression, with the expression. */
export function consoleText(debuggee: Debuggee, expression: string): string {
  const answer = evaluate(debuggee, { expression, context: "repl" });
  return answer instanceof Refusal ? answer.text : `${expression}\n${answer.result}`;
}

export function completions(
  debuggee: Debuggee,
  { text, column, frameId }: DebugProtocol.CompletionsArguments,
): DebugProtocol.CompletionsResponse["body"] | Refusal {
  const frame = frameOf(debuggee, frameId);
  if (frame instanceof Refusal) return frame;
  const found = consoleCompletions(
    text,
    debuggee.client.ownColumn(column) - 1,
    debuggee.scope(frame),
  );
  return {
    targets: found.map(({ kind, detail, ...item }) => ({
      ...item,
      type: COMPLETION_TYPES[kind],
      ...(detail === undefined ? {} : { detail }),
    })),
  };
}

/** Frame 0 is the label at the end of a stack, which stands for no frame. */
function frameOf(debuggee: Debuggee, id: number | undefined): FrameHandle | undefined | Refusal {
  return id ? (debuggee.frames.get(id) ?? refusals.staleReference()) : undefined;
}

/** DAP's words for what a completion is. */
const COMPLETION_TYPES: Readonly<Record<Completion["kind"], DebugProtocol.CompletionItemType>> = {
  command: "keyword",
  field: "field",
  variable: "variable",
  register: "variable",
  function: "function",
  space: "keyword",
  symbol: "reference",
  slot: "value",
};
