import type { DebugProtocol } from "@vscode/debugprotocol";
import { FILTERS } from "../debug";

/** What this adapter does, and no more: a client offers exactly these. */
export const capabilities: DebugProtocol.Capabilities = {
  supportsConfigurationDoneRequest: true,
  supportsFunctionBreakpoints: true,
  supportsConditionalBreakpoints: true,
  supportsHitConditionalBreakpoints: true,
  supportsLogPoints: true,
  supportsEvaluateForHovers: true,
  supportsSetVariable: true,
  supportsCompletionsRequest: true,
  completionTriggerCharacters: [".", "(", ":", "@", "$", "&"],
  supportsModulesRequest: true,
  supportsRestartRequest: true,
  supportsValueFormattingOptions: true,
  supportsExceptionInfoRequest: true,
  supportsExceptionFilterOptions: true,
  supportsDelayedStackTraceLoading: true,
  supportsLoadedSourcesRequest: true,
  supportsTerminateRequest: true,
  supportsReadMemoryRequest: true,
  supportsWriteMemoryRequest: true,
  supportsDisassembleRequest: true,
  supportsBreakpointLocationsRequest: true,
  supportsClipboardContext: true,
  supportsSteppingGranularity: true,
  supportsInstructionBreakpoints: true,
  exceptionBreakpointFilters: FILTERS.map((filter) => ({
    filter: filter.id,
    label: filter.label,
    description: filter.description,
    default: filter.defaultOn,
    supportsCondition: true,
    conditionDescription: `e.g. ${filter.exampleCondition}`,
  })),
};
