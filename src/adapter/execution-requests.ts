import type { DebugProtocol } from "@vscode/debugprotocol";
import { Step, type StepKind } from "../debug";
import type { Debuggee } from "./debuggee";
import { type Refusal, refusals } from "./refusal";

/** DAP thread ids count from 1, vCPUs from 0. */
export const vcpuOf = (threadId: number): number => threadId - 1;

type Empty = Record<string, never>;

export function continueRun(debuggee: Debuggee): DebugProtocol.ContinueResponse["body"] | Refusal {
  if (debuggee.machine.ended) return refusals.ended();
  debuggee.run();
  return { allThreadsContinued: true };
}

export function pause(debuggee: Debuggee): Empty {
  debuggee.runner.pause();
  return {};
}

interface StepArguments {
  readonly threadId: number;
  readonly granularity?: DebugProtocol.SteppingGranularity;
}

const step =
  (kind: StepKind) =>
  (debuggee: Debuggee, args: StepArguments): Empty | Refusal => {
    if (debuggee.machine.ended) return refusals.ended();
    const vcpu = vcpuOf(args.threadId);
    if (!debuggee.machine.vcpus[vcpu]) return refusals.noThread(args.threadId);
    if (kind === "out" && debuggee.stack(vcpu).frames.length < 2) return refusals.noCaller();
    debuggee.focus = vcpu;
    const work = new Step(debuggee.breakpoints, vcpu, kind, args.granularity ?? "statement");
    debuggee.start(() => {
      const reason = work.slice();
      return reason?.kind === "limit" ? { kind: "step" } : reason;
    });
    return {};
  };

export const next = step("over");
export const stepIn = step("in");
export const stepOut = step("out");

export function threads(debuggee: Debuggee): DebugProtocol.ThreadsResponse["body"] {
  return {
    threads: debuggee.machine.vcpus.map(({ id, state, activity }) => ({
      id: id + 1,
      name: [
        `vcpu ${id}`,
        `ring ${state.cpl}`,
        `cr3 0x${state.cr3.toString(16)}`,
        ...(activity === "running" ? [] : [activity]),
      ].join(" · "),
    })),
  };
}
