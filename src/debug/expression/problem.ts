/**
 * What is wrong with a text a person typed, and where: `start` counts characters from 0, `length` is
 * at least 1 so that a caret always has something to stand under.
 */
export interface Problem {
  readonly message: string;
  readonly start: number;
  readonly length: number;
}

/** The text with carets under the place, on two lines, then the message. */
export function underline(text: string, problem: Problem): string {
  return `${text}\n${" ".repeat(problem.start)}${"^".repeat(problem.length)} ${problem.message}`;
}

/** One line for places that show no second one. Columns count from 1. */
export const oneLine = (problem: Problem): string =>
  `${problem.message} (column ${problem.start + 1})`;
