import type { FunctionRow } from "./function-row";

export const mmuFunctions: readonly FunctionRow[] = [];
