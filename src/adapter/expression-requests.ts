import type { DebugProtocol } from "@vscode/debugprotocol";
import {
  type Completion,
  completions as complete,
  numberOf,
  oneLine,
  registerNamed,
  underline,
} from "../debug";
import type { Debuggee } from "./debuggee";
import { type Refusal, refusals } from "./refusal";
import { show } from "./variables";

type Evaluated = DebugProtocol.EvaluateResponse["body"];

export function evaluate(
  debuggee: Debuggee,
  args: DebugProtocol.EvaluateArguments,
): Evaluated | Refusal {
  const result = debuggee.evaluate(args.expression, args.frameId);
  if (!result.ok) {
    // A hover over any word of the source asks: what is no expression has no answer, not an error.
    if (args.context === "hover") return { result: "", variablesReference: 0 };
    const text =
      args.context === "repl"
        ? underline(args.expression, result.problem)
        : oneLine(result.problem);
    return refusals.expression(text);
  }
  const path = args.expression.replace(/\s*,\s*[a-z]+\s*$/, "");
  const format = result.format ?? (args.format?.hex ? "x" : undefined);
  const { value, ...rest } = show(debuggee, result.value, path, format);
  return { result: value, ...rest };
}

export function completions(
  debuggee: Debuggee,
  args: DebugProtocol.CompletionsArguments,
): DebugProtocol.CompletionsResponse["body"] {
  const found = complete(args.text, args.column - 1, debuggee.scope(args.frameId));
  return {
    targets: found.map(({ kind, detail, ...item }) => ({
      ...item,
      type: COMPLETION_TYPES[kind],
      ...(detail === undefined ? {} : { detail }),
    })),
  };
}

/** DAP's words for what a completion is. */
const COMPLETION_TYPES: Readonly<Record<Completion["kind"], DebugProtocol.CompletionItemType>> = {
  field: "field",
  variable: "variable",
  register: "variable",
  function: "function",
  space: "keyword",
  symbol: "reference",
  slot: "value",
};

/** Registers by name; everything else is written as memory. */
export function setVariable(
  debuggee: Debuggee,
  args: DebugProtocol.SetVariableArguments,
): DebugProtocol.SetVariableResponse["body"] | Refusal {
  const register = registerNamed(args.name);
  if (!register) {
    return refusals.setVariable(`"${args.name}" cannot be set here; write its bytes as memory.`);
  }
  if (!register.write) {
    return refusals.setVariable(
      `${args.name} cannot be set: a change of it has effects only the guest's own instruction gives.`,
    );
  }
  const result = debuggee.evaluate(args.value);
  if (!result.ok) return refusals.setVariable(oneLine(result.problem));
  const number = numberOf(result.value);
  if (number === undefined) {
    return refusals.setVariable(
      `"${args.value}" is not a number, so ${args.name} stays as it was.`,
    );
  }
  const vcpu = debuggee.machine.vcpus[debuggee.focus];
  if (!vcpu) throw new Error(`there is no vCPU ${debuggee.focus}`);
  const bits = 8 * register.size;
  if (
    BigInt.asUintN(bits, number) !== number &&
    BigInt.asIntN(bits, number) !== BigInt.asIntN(64, number)
  ) {
    return refusals.setVariable(
      `${args.value} does not fit into the ${bits} bits of ${args.name}.`,
    );
  }
  register.write(vcpu.state, BigInt.asUintN(bits, number));
  debuggee.edited();
  const after = debuggee.evaluate(`$${args.name}`);
  if (!after.ok) return refusals.setVariable(oneLine(after.problem));
  return show(debuggee, after.value, `$${args.name}`);
}
