import { writeSync } from "node:fs";
import { readsOf } from "./memory-reads";
import { SCENARIOS, type Scenario } from "./mmu-scenarios";

/**
 * Costs of single operations of the MMU, without processor or devices around it.
 *   node mmu-costs.js time|reads ROUNDS [part of a name]
 * Prints one JSON line: a row per operation, with a value for each scale.
 */
export const SCALES = [1, 4, 16] as const;

/** Microseconds of one operation, and what was read for it, at each scale. */
export interface CostRow {
  readonly name: string;
  readonly grows: string;
  readonly flat: boolean;
  readonly microseconds?: readonly number[];
  readonly gptes?: readonly number[];
  readonly sptes?: readonly number[];
}

/** Operations that come first and are not counted: V8 compiles the hot path meanwhile. */
const WARM_UP = 8;

/** Operations between two looks at the clock, where nothing must be prepared between them. */
const BATCH = 8;

/** Mean of the lower nine tenths: in the others something else had the processor. */
function trimmedMean(values: Float64Array): number {
  const kept = values.sort().subarray(0, Math.ceil(0.9 * values.length));
  return kept.reduce((sum, each) => sum + each, 0) / kept.length;
}

/** What looking at the clock twice costs, in milliseconds. */
function clockCost(): number {
  const spent = new Float64Array(10_000).map(() => {
    const started = performance.now();
    return performance.now() - started;
  });
  return trimmedMean(spent);
}

/** Microseconds of one operation; preparations between them are left out. */
function timeOf({ trial }: Scenario, scale: number): number {
  const { times, prepare, operate } = trial(scale);
  const batch = prepare ? 1 : BATCH;
  const spent = new Float64Array(times / batch).map((_, n) => {
    prepare?.(n);
    const started = performance.now();
    for (let i = n * batch; i < (n + 1) * batch; i++) operate(i);
    return (performance.now() - started - clock) / batch;
  });
  return 1000 * trimmedMean(spent);
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

function timed(scenario: Scenario, rounds: number): CostRow {
  for (let n = 0; n < WARM_UP; n++) timeOf(scenario, 1);
  const microseconds = SCALES.map((scale) =>
    median(Array.from({ length: rounds }, () => timeOf(scenario, scale))),
  );
  const { name, grows, flat } = scenario;
  return { name, grows, flat, microseconds };
}

function counted({ name, grows, flat, trial }: Scenario): CostRow {
  const reads = SCALES.map((scale) => readsOf(trial(scale)));
  return {
    name,
    grows,
    flat,
    gptes: reads.map(({ gptes }) => gptes),
    sptes: reads.map(({ sptes }) => sptes),
  };
}

const clock = clockCost();
const [mode = "time", rounds = "5", part = ""] = process.argv.slice(2);
const rows = SCENARIOS.filter(({ name }) => name.includes(part)).map((scenario) =>
  mode === "reads" ? counted(scenario) : timed(scenario, Number(rounds)),
);
writeSync(1, `${JSON.stringify(rows)}\n`);
