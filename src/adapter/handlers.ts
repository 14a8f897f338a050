import * as breakpoint from "./breakpoint-requests";
import type { Debuggee } from "./debuggee";
import { disassemble } from "./disassemble";
import { exceptionInfo } from "./exception-info";
import * as execution from "./execution-requests";
import * as expression from "./expression-requests";
import * as host from "./host-requests";
import * as image from "./image-requests";
import { readMemory, writeMemory } from "./memory-requests";
import { setVariable } from "./set-variable";
import * as stack from "./stack-requests";
import { parents, tree } from "./tree-requests";

/**
 * Serves one request: its body, or a `Refusal`. Each handler states the arguments of its own request;
 * the table is the only place where the two meet.
 */
export type Handler = (debuggee: Debuggee, args: never) => unknown;

export const handlers: Readonly<Record<string, Handler>> = {
  setBreakpoints: breakpoint.setBreakpoints,
  setFunctionBreakpoints: breakpoint.setFunctionBreakpoints,
  setInstructionBreakpoints: breakpoint.setInstructionBreakpoints,
  setExceptionBreakpoints: breakpoint.setExceptionBreakpoints,
  breakpointLocations: breakpoint.breakpointLocations,
  threads: execution.threads,
  continue: execution.continueRun,
  pause: execution.pause,
  next: execution.next,
  stepIn: execution.stepIn,
  stepOut: execution.stepOut,
  stackTrace: stack.stackTrace,
  scopes: stack.scopes,
  variables: stack.variables,
  evaluate: expression.evaluate,
  completions: expression.completions,
  setVariable,
  readMemory,
  writeMemory,
  disassemble,
  modules: image.modules,
  loadedSources: image.loadedSources,
  source: image.source,
  exceptionInfo,
  "penumbra/hostActions": host.hostActions,
  "penumbra/hostAction": host.hostAction,
  "penumbra/tree": tree,
  "penumbra/parents": parents,
};
