import { type Case, COMPARED_FLAGS, flagsOf, type Outcome, registersOf, TRAP } from "./case";
import type { Replayer } from "./replay";
import { decodeCase, undefinedFlagsOf } from "./undefined";
import type { VectorSet } from "./vector-file";

const REGISTERS = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(" ");
const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
const changesText = (outcome: Outcome): string =>
  outcome.changes.map(([at, value]) => `${at.toString(16)}=${value.toString(16)}`).join(" ");

/** What the engine got wrong: empty when it agrees with the processor. */
export function differences(
  each: Case,
  before: readonly bigint[],
  expected: Outcome,
  got: Outcome,
): string[] {
  const found: string[] = [];
  const check = (what: string, right: string, actual: string): void => {
    if (right !== actual) found.push(`${what}: expected ${right}, got ${actual}`);
  };
  check("trap", hex(expected.trap), hex(got.trap));
  if (expected.trap !== TRAP.breakpoint) check("error code", hex(expected.error), hex(got.error));
  if (expected.trap === TRAP.page) check("cr2", hex(expected.cr2), hex(got.cr2));
  check("rip", hex(expected.rip), hex(got.rip));
  const defined = COMPARED_FLAGS & ~undefinedFlagsOf(each, before);
  check("flags", hex(expected.flags & defined), hex(got.flags & defined));
  REGISTERS.forEach((name, n) => {
    if (each.mode === 64 || n < 8) check(name, hex(expected.gpr[n]!), hex(got.gpr[n]!));
  });
  check("memory", changesText(expected), changesText(got));
  return found;
}

/** Everything one needs to look into a difference. */
export function report(each: Case, before: readonly bigint[], found: readonly string[]): string {
  const insn = decodeCase(each);
  const registers = before
    .slice(0, each.mode === 64 ? 16 : 8)
    .map((value, n) => `${REGISTERS[n]}=${value.toString(16)}`);
  return [
    `${each.form}`,
    `  ${Buffer.from(each.code).toString("hex")} (${insn?.kind ?? "?"} ${insn?.name ?? "?"}) at ${hex(each.ip)}`,
    `  ${registers.join(" ")} flags=${flagsOf(each).toString(16)}`,
    ...each.patches.map(
      ({ at, bytes }) => `  memory ${at.toString(16)}: ${Buffer.from(bytes).toString("hex")}`,
    ),
    ...found.map((line) => `  ${line}`),
  ].join("\n");
}

export interface ReplayResult {
  readonly cases: number;
  /** The first difference of each form, with how many of its cases differ. */
  readonly wrong: ReadonlyMap<string, { readonly text: string; readonly count: number }>;
}

/** Runs all vectors through the engine. */
export function replay(set: Omit<VectorSet, "processor">, replayer: Replayer): ReplayResult {
  const wrong = new Map<string, { text: string; count: number }>();
  for (const { input, outcome } of set.vectors) {
    const before = registersOf(input, set.files);
    const found = attempt(() => differences(input, before, outcome, replayer.run(input)));
    if (found.length === 0) continue;
    const known = wrong.get(input.form);
    if (known) known.count++;
    else wrong.set(input.form, { text: report(input, before, found), count: 1 });
  }
  return { cases: set.vectors.length, wrong };
}

function attempt(compare: () => string[]): string[] {
  try {
    return compare();
  } catch (problem) {
    return [`the engine threw: ${problem instanceof Error ? problem.message : problem}`];
  }
}
