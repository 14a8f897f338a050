import type { DebugProtocol } from "@vscode/debugprotocol";
import type { Frame, SourceFrame } from "../debug";
import type { Debuggee } from "./debuggee";
import { vcpuOf } from "./execution-requests";
import { hex } from "./memory-reference";
import { type Refusal, refusals } from "./refusal";
import { scopes as scopesOf } from "./scopes";
import { sourceOf } from "./source-reference";

/** The calls of a vCPU; an inlined call is a frame of its own. A reason to end is a label at the end. */
export function stackTrace(
  debuggee: Debuggee,
  args: DebugProtocol.StackTraceArguments,
): DebugProtocol.StackTraceResponse["body"] | Refusal {
  const vcpu = vcpuOf(args.threadId);
  if (!debuggee.machine.vcpus[vcpu]) return refusals.noThread(args.threadId);
  const { frames, end } = debuggee.stack(vcpu);
  const rows = frames.flatMap((frame) =>
    debuggee.symbols.framesAt(frame.at).map((place, i) => ({ frame, place, inlined: i > 0 })),
  );
  const total = rows.length + (end ? 1 : 0);
  const start = args.startFrame ?? 0;
  const stop = args.levels ? start + args.levels : total;
  const stackFrames = rows
    .slice(start, stop)
    .map(({ frame, place }) => stackFrame(debuggee, vcpu, frame, place));
  if (end && stop >= total && start < total) stackFrames.push(label(end));
  return { stackFrames, totalFrames: total };
}

function stackFrame(
  debuggee: Debuggee,
  vcpu: number,
  frame: Frame,
  place: SourceFrame,
): DebugProtocol.StackFrame {
  const interrupt = frame.kind === "interrupt";
  const isInnermost = frame === debuggee.stack(vcpu).frames[0];
  return {
    id: debuggee.frames.add({ vcpu, frame, isInnermost }),
    name: interrupt ? `${place.name} (interrupt)` : place.name,
    ...(place.path ? { source: sourceOf(place.path) } : {}),
    // 0 says that there is none, however the client counts.
    line: place.line && debuggee.client.line(place.line),
    column: place.column && debuggee.client.column(place.column),
    instructionPointerReference: hex(frame.pc),
    ...(interrupt ? { presentationHint: "subtle" as const } : {}),
  };
}

/** A row that is no frame: it has no place and no scopes. */
const label = (name: string): DebugProtocol.StackFrame => ({
  id: 0,
  name,
  line: 0,
  column: 0,
  presentationHint: "label",
});

export function scopes(
  debuggee: Debuggee,
  args: DebugProtocol.ScopesArguments,
): DebugProtocol.ScopesResponse["body"] | Refusal {
  if (args.frameId === 0) return { scopes: [] };
  const frame = debuggee.frames.get(args.frameId);
  return frame ? { scopes: scopesOf(debuggee, frame) } : refusals.staleReference();
}

export function variables(
  debuggee: Debuggee,
  args: DebugProtocol.VariablesArguments,
): DebugProtocol.VariablesResponse["body"] | Refusal {
  const { start, count, format } = args;
  const handle = debuggee.variables.get(args.variablesReference);
  if (!handle) return refusals.staleReference();
  const range = {
    ...(start === undefined ? {} : { start }),
    ...(count ? { count } : {}),
    ...(format?.hex ? { hex: true } : {}),
  };
  return { variables: handle.read(range) };
}
