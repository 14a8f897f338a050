import type { FunctionRow } from "./function-row";

export const translationFunctions: readonly FunctionRow[] = [];
