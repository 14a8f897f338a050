import type { DebugProtocol } from "@vscode/debugprotocol";
import { type Conditions, gateOf, normal, underline } from "../debug";
import type { CodeBreakpoint } from "./breakpoints";
import type { Debuggee } from "./debuggee";
import { instructionAround } from "./instruction-start";
import { placeLine } from "./line-placement";
import { hex, moved, parsePlace } from "./memory-reference";
import { sourceOf } from "./source-reference";

type Answer = DebugProtocol.Breakpoint;
interface Answers {
  readonly breakpoints: Answer[];
}

/** A breakpoint with what the client is told of it. */
interface Made {
  readonly breakpoint: CodeBreakpoint | undefined;
  readonly answer: Answer;
}

export function setBreakpoints(
  debuggee: Debuggee,
  args: DebugProtocol.SetBreakpointsArguments,
): Answers {
  const path = normal(args.source.path ?? "");
  const made = (args.breakpoints ?? []).map((request): Made => {
    const { addresses, line, message } = placeLine(
      debuggee.symbols,
      path,
      debuggee.client.ownLine(request.line),
    );
    return make(debuggee, request, addresses, {
      line: debuggee.client.line(line),
      source: sourceOf(path),
      ...(message ? { message } : {}),
    });
  });
  return replace(debuggee, `lines of ${path}`, made);
}

export function setInstructionBreakpoints(
  debuggee: Debuggee,
  args: DebugProtocol.SetInstructionBreakpointsArguments,
): Answers {
  const made = args.breakpoints.map((request): Made => {
    const place = parsePlace(request.instructionReference);
    const at = place && moved(place, request.offset ?? 0);
    if (at?.space !== "gva") {
      const message = `${request.instructionReference} is no address of guest code; use 0x….`;
      return make(debuggee, request, [], { message });
    }
    const instructionReference = hex(at.address);
    const around = instructionAround(debuggee, at.address);
    const message = `${instructionReference} is inside the instruction at ${hex(around ?? 0)}.`;
    return make(debuggee, request, [at.address], {
      instructionReference,
      ...(around === undefined ? {} : { message }),
    });
  });
  return replace(debuggee, "instructions", made);
}

/** Events and symbols share one list: the events go to the event breakpoints, the rest is code. */
export function setFunctionBreakpoints(
  debuggee: Debuggee,
  args: DebugProtocol.SetFunctionBreakpointsArguments,
): Answers {
  const requests = args.breakpoints.map((b) => ({ ...b, id: debuggee.breakpoints.newId() }));
  const verdicts = debuggee.breakpoints.events.setFunctions(requests);
  const made = requests.map((request, i): Made => {
    const { verified = false, message, addresses = [] } = verdicts[i] ?? {};
    const said = answerOf(request.id, verified, message);
    if (addresses.length === 0) return { breakpoint: undefined, answer: said };
    const { breakpoint, answer } = make(debuggee, request, addresses, {});
    return { breakpoint, answer: { ...answer, ...(breakpoint ? { id: breakpoint.id } : {}) } };
  });
  return replace(debuggee, "functions", made);
}

/** Each filter with its own condition. */
export function setExceptionBreakpoints(
  debuggee: Debuggee,
  args: DebugProtocol.SetExceptionBreakpointsArguments,
): Answers {
  // The two lists add up, and are answered in this order.
  const wanted: readonly DebugProtocol.ExceptionFilterOptions[] = [
    ...args.filters.map((filterId) => ({ filterId })),
    ...(args.filterOptions ?? []),
  ];
  const requests = wanted.map(({ filterId, condition }) => ({
    filter: filterId,
    id: debuggee.breakpoints.newId(),
    ...(condition ? { condition } : {}),
  }));
  const verdicts = debuggee.breakpoints.events.setFilters(requests);
  const answers = requests.map(({ id }, i): Answer => {
    const { verified = false, message } = verdicts[i] ?? {};
    return answerOf(id, verified, message);
  });
  return { breakpoints: answers };
}

export function breakpointLocations(
  debuggee: Debuggee,
  args: DebugProtocol.BreakpointLocationsArguments,
): DebugProtocol.BreakpointLocationsResponse["body"] {
  const path = normal(args.source.path ?? "");
  const { client, symbols } = debuggee;
  const first = client.ownLine(args.line);
  const last = args.endLine === undefined ? first : client.ownLine(args.endLine);
  const lines = symbols.linesWithCode(path, first, last);
  return { breakpoints: lines.map((line) => ({ line: client.line(line) })) };
}

function make(
  debuggee: Debuggee,
  conditions: Conditions,
  addresses: readonly bigint[],
  told: Partial<Answer>,
): Made {
  const id = debuggee.breakpoints.newId();
  const gate = gateOf(conditions);
  if ("problem" in gate) {
    const message = underline(gate.text, gate.problem);
    return { breakpoint: undefined, answer: { ...told, ...answerOf(id, false, message) } };
  }
  const answer = { ...told, ...answerOf(id, addresses.length > 0, told.message) };
  return { breakpoint: { id, addresses, gate }, answer };
}

/** "failed": nothing that may still be loaded will make it good. */
const answerOf = (id: number, verified: boolean, message: string | undefined): Answer => ({
  id,
  verified,
  ...(verified ? {} : { reason: "failed" }),
  ...(message ? { message } : {}),
});

function replace(debuggee: Debuggee, group: string, made: readonly Made[]): Answers {
  const breakpoints = made.flatMap(({ breakpoint }) => (breakpoint ? [breakpoint] : []));
  debuggee.breakpoints.replace(group, breakpoints);
  return { breakpoints: made.map(({ answer }) => answer) };
}
