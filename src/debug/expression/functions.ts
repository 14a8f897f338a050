import type { FunctionRow } from "./function-row";
import { historyFunctions } from "./history-functions";
import { memoryFunctions } from "./memory-functions";
import { mmuFunctions } from "./mmu-functions";
import { translationFunctions } from "./translation-functions";
import { walkFunctions } from "./walk-functions";

/** Every function of the language, by name. */
export const FUNCTIONS: ReadonlyMap<string, FunctionRow> = new Map(
  [
    ...translationFunctions,
    ...walkFunctions,
    ...mmuFunctions,
    ...memoryFunctions,
    ...historyFunctions,
  ].map((row) => [row.name, row]),
);
