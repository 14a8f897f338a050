import { type FeatureRow, idsIn } from "./rows";

/** One test of a mocha run. */
export interface TestResult {
  /** With the titles of the groups it stands in. */
  readonly title: string;
  readonly passed: boolean;
}

export type FeatureState = "passed" | "failed" | "later" | "missing";

export interface FeatureResult {
  readonly row: FeatureRow;
  readonly state: FeatureState;
  readonly tests: readonly TestResult[];
}

/** Each row with the tests that carry its id. A row that is owned elsewhere may still have tests, and fail. */
export function combine(
  rows: readonly FeatureRow[],
  tests: readonly TestResult[],
): FeatureResult[] {
  const carriers = new Map<string, TestResult[]>(rows.map(({ id }) => [id, []]));
  for (const test of tests) for (const id of idsIn(test.title)) carriers.get(id)?.push(test);
  return rows.map((row) => {
    const own = carriers.get(row.id) ?? [];
    return { row, tests: own, state: stateOf(row, own) };
  });
}

function stateOf(row: FeatureRow, tests: readonly TestResult[]): FeatureState {
  if (tests.some(({ passed }) => !passed)) return "failed";
  if (row.later) return "later";
  return tests.length > 0 ? "passed" : "missing";
}

const MARK: Readonly<Record<FeatureState, string>> = {
  passed: "passed ",
  failed: "FAILED ",
  later: "later  ",
  missing: "NO TEST",
};

/** The row, its owner if it has one, and its tests, each on a line. */
export function resultLines({ row, state, tests }: FeatureResult): string[] {
  const owner = row.later
    ? [`               later: ${row.later.owner}; until then: ${row.later.standIn}`]
    : [];
  return [
    `${row.id}  ${MARK[state]}  ${row.behaviour}`,
    ...owner,
    ...tests.map(({ title, passed }) => `               ${passed ? "·" : "✗"} ${title}`),
  ];
}

/** How many rows are in which state, and the names of those that are wrong. */
export function summary(results: readonly FeatureResult[]): string[] {
  const idsOf = (state: FeatureState): string[] =>
    results.filter((result) => result.state === state).map(({ row }) => row.id);
  const named = (state: FeatureState): string[] => {
    const ids = idsOf(state);
    return ids.length ? [`${MARK[state].trim()}: ${ids.join(" ")}`] : [];
  };
  const counts = [
    `${idsOf("passed").length} passed`,
    `${idsOf("failed").length} failed`,
    `${idsOf("missing").length} without a test`,
    `${idsOf("later").length} owned by a later part`,
  ];
  return [...named("failed"), ...named("missing"), `${results.length} rows: ${counts.join(", ")}`];
}

export const isComplete = (results: readonly FeatureResult[]): boolean =>
  results.every(({ state }) => state === "passed" || state === "later");
