import type { DebugProtocol } from "@vscode/debugprotocol";
import { evaluate, numberOf, oneLine, type RegisterRow, registerNamed } from "../debug";
import type { Debuggee } from "./debuggee";
import type { FrameHandle } from "./handles";
import { type Refusal, refusals } from "./refusal";
import { show } from "./variables";

/** Sets a register; everything else is written as memory. */
export function setVariable(
  debuggee: Debuggee,
  { variablesReference, name, value }: DebugProtocol.SetVariableArguments,
): DebugProtocol.SetVariableResponse["body"] | Refusal {
  const handle = debuggee.variables.get(variablesReference);
  if (!handle) return refusals.staleReference();
  const frame = handle.registersOf;
  const register = frame && registerNamed(name);
  if (!register)
    return refusals.setVariable(`"${name}" cannot be set here; write its bytes as memory.`);
  if (!frame.isInnermost)
    return refusals.setVariable(
      `${name} of a caller is worked out from its stack; set it in the innermost frame.`,
    );
  return set(debuggee, register, frame, value);
}

function set(
  debuggee: Debuggee,
  register: RegisterRow,
  frame: FrameHandle,
  text: string,
): DebugProtocol.SetVariableResponse["body"] | Refusal {
  const { name, size, write } = register;
  const refused = (why: string): Refusal => refusals.setVariable(why);
  if (!write)
    return refused(
      `${name} cannot be set: a change of it has effects only the guest's own instruction gives.`,
    );
  const result = evaluate(text, debuggee.scope(frame));
  if (!result.ok) return refused(oneLine(result.problem));
  const number = numberOf(result.value);
  if (number === undefined)
    return refused(`"${text}" is not a number, so ${name} stays as it was.`);
  const bits = 8 * size;
  if (!fits(number, bits)) return refused(`${text} does not fit into the ${bits} bits of ${name}.`);
  const view = debuggee.machine.vcpus[frame.vcpu];
  if (!view) throw new Error(`there is no vCPU ${frame.vcpu}`);
  write(view.state, BigInt.asUintN(bits, number));
  debuggee.edited();
  const live = { machine: debuggee.machine, symbols: debuggee.symbols, vcpu: frame.vcpu };
  const after = evaluate(`$${name}`, live);
  if (!after.ok) throw new Error(`$${name} does not evaluate`);
  return show(debuggee, after.value, `$${name}`);
}

/** As an unsigned number, or as a negative one. */
const fits = (number: bigint, bits: number): boolean =>
  BigInt.asUintN(bits, number) === number ||
  BigInt.asIntN(bits, number) === BigInt.asIntN(64, number);
