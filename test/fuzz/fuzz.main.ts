import { parseArgs } from "node:util";
import { EVENT_NAMES } from "../../src/kvm";
import { runGuestProgram } from "./guest-programs/compare";
import { PROGRAM_LENGTH, runProgram } from "./paging-ops/campaign";
import { Coverage } from "./paging-ops/coverage";
import { ENGINES, ERAS, MODES } from "./paging-ops/setup";
import { supportedKinds } from "./paging-ops/supported";

/** One program in so many counts the events it meets: that costs time. */
const LISTEN_EVERY = 8;
/** After so many programs of single steps comes one of machine code, under every engine. */
const GUEST_EVERY = 10;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "1" },
    steps: { type: "string" },
    program: { type: "string" },
    mmu: { type: "string", default: ENGINES.join(",") },
    mode: { type: "string", default: MODES.join(",") },
    era: { type: "string", default: ERAS.join(",") },
    check: { type: "string", default: "16" },
    failures: { type: "string", default: "1" },
    unshrunk: { type: "boolean", default: false },
  },
});

/** The names among `known` that a comma-separated option lists. */
function listed<T extends string>(option: "mmu" | "mode" | "era", known: readonly T[]): T[] {
  const names = values[option].split(",");
  const wrong = names.find((name) => !known.includes(name as T));
  if (wrong !== undefined) {
    console.error(`--${option} ${wrong}: choose among ${known.join(", ")}`);
    process.exit(2);
  }
  return known.filter((name) => names.includes(name));
}

const { kinds, refusals } = supportedKinds(
  listed("mmu", ENGINES),
  listed("era", ERAS),
  listed("mode", MODES),
);
for (const refusal of refusals) console.log(`left out: ${refusal}`);
if (kinds.length === 0) process.exit(2);

const seed = Number(values.seed);
const coverage = new Coverage();
const end = Date.now() + 60_000 * Number(values.minutes);
const goesOn = (n: number): boolean =>
  values.steps === undefined ? Date.now() < end : n * PROGRAM_LENGTH < Number(values.steps);
/** Guest programs compare all engines, so they are left out where some are not asked for. */
const runsGuests = ENGINES.every((mmu) => kinds.some((kind) => kind.mmu === mmu));
function runGuest(n: number): string | undefined {
  coverage.count("guests", "programs of machine code");
  return runGuestProgram(seed, n);
}
let failures = 0;
let n = values.program === undefined ? 0 : Number(values.program);
const first = n;
const started = Date.now();
for (; values.program === undefined ? goesOn(n) : n === first; n++) {
  coverage.listening = n % LISTEN_EVERY === 0;
  const { unshrunk, check } = values;
  const failure = runProgram({ seed, kinds, every: Number(check), coverage, unshrunk }, n);
  const guest = runsGuests && n % GUEST_EVERY === 0 ? runGuest(n / GUEST_EVERY) : undefined;
  const found = [failure, guest].filter((text) => text !== undefined);
  for (const text of found) console.log(text);
  failures += found.length;
  if (failures > 0 && failures >= Number(values.failures)) break;
}
const seconds = (Date.now() - started) / 1000;
console.log(coverage.report({ events: EVENT_NAMES }));
console.log(
  `\nseed ${seed}: ${n - first} programs of ${PROGRAM_LENGTH} steps in ${seconds.toFixed(1)} s, ${failures} failures`,
);
process.exitCode = failures > 0 ? 1 : 0;
