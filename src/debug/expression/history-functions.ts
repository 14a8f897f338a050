import { anything, type FunctionRow } from "./function-row";

/** Functions about the past: known by name, so that they are refused by name. */
const later = (name: string, signature: string, about: string): FunctionRow => ({
  name,
  signature,
  about: `${about} (comes with the recording)`,
  parameters: [anything, anything, anything],
  least: 0,
  apply: () =>
    `${name} looks into the past and comes with the recording; this version only knows the present`,
});

export const historyFunctions: readonly FunctionRow[] = [
  later("last", "last(expression)", "When a value last changed"),
  later("at", "at(tick, expression)", "A value as it was at a tick"),
  later("count", "count(event[, from, to])", "How often an event happened"),
  later("why", "why(spte)", "Why an entry is as it is, or is gone"),
];
