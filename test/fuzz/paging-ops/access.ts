import assert from "node:assert/strict";
import type { Coverage } from "./coverage";
import { type Legal, legalOutcomes } from "./legal-outcomes";
import { hasPdpteRegisters, linearAddress } from "./plain-walk";
import type { Outcome } from "./processor";
import { judgeRaced } from "./raced-access";
import type { AccessStep } from "./steps";
import { afterwards, oracleWord, partOf, productWord, ramOffset, touchedWords } from "./words";
import type { World } from "./world";

/**
 * One access on both sides. The product may do any of the legal things; which one it did is found from
 * what came of it and from the words of memory it may have changed, and the oracle does the same.
 */
export function accessBoth(world: World, asked: AccessStep, coverage: Coverage | undefined): void {
  const va = linearAddress(world.vcpus[asked.vcpu]!.mode, asked.va);
  if (va === undefined) return;
  const step = { ...asked, va };
  const before = listLegal(world, step);
  if (marksItsPdpte(world, step, before)) return;
  const { now } = world.memory;
  // Inside another's step the access may have to wait for that to end.
  const tries = world.interrupting ? WAITING_TRIES : undefined;
  world.underWay.push(before);
  const got = world.subject.processors[step.vcpu]!.access(step, tries);
  if (!got) world.settleUnderWay();
  world.underWay.pop();
  if (!got) return;
  const raced = world.memory.now !== now;
  const verdict = raced
    ? judgeRaced(world, step, got, before, listLegal(world, step))
    : judgeAlone(world, step, got, before);
  if (verdict.kind === "wrong") assert.fail(`${describeAccess(step)}: ${verdict.why}`);
  // A fault that the manual lets no stale translation survive (SDM 3A 4.10.4.1).
  if (got.kind === "fault" && (got.error & 9) === 1) world.vcpus[step.vcpu]!.flushPage(step.va);
  coverage?.count("outcomes", outcomeName(got, verdict.legal));
  if (raced) coverage?.count("outcomes", "with another actor in between");
}

/**
 * A PDPTE in memory that is a lower entry of the same walk too: the A bit set in it is reserved when the walk
 * begins again, as it does after an exit. Whether it does is not for the guest to know: left out.
 */
function marksItsPdpte(world: World, step: AccessStep, outcomes: readonly Legal[]): boolean {
  const { mode, cr3 } = world.vcpus[step.vcpu]!;
  if (mode !== "PAE" || hasPdpteRegisters(world.setup)) return false;
  const at = Number(cr3 & 0xffffffe0n) + 8 * Number((step.va >> 30n) & 3n);
  return outcomes.some((one) => one.kind === "reaches" && one.marks.some(({ gpa }) => gpa === at));
}

/** Attempts of an access that another actor may keep from ending. */
const WAITING_TRIES = 3;

export type Verdict =
  | { readonly kind: "right"; readonly legal: Legal }
  | { readonly kind: "wrong"; readonly why: string };

/** The outcomes that are legal now. */
function listLegal(world: World, step: AccessStep): readonly Legal[] {
  const plain = world.vcpus[step.vcpu]!;
  const access = { kind: step.kind, cpl: step.cpl, implicit: step.implicit === true };
  const list = (fresh: boolean) =>
    legalOutcomes(world.memory, plain, world.setup, step.va, access, fresh);
  const legal = list(false);
  // An emulator walks the tables, but may remember, as a TLB does, that a page is a device's.
  if (legal && step.emulated)
    return legal.filter(
      (one) => one.kind === "fault" || !one.stale || ramOffset(world, one, step) < 0,
    );
  if (legal) return legal;
  // Too many stale ways to tell apart: the guest flushes the page first.
  plain.flushPage(step.va);
  world.subject.processors[step.vcpu]!.invlpg(step.va);
  return list(true)!;
}

/**
 * Nothing else happened meanwhile. An emulator may go to a device that it remembers from a stale walk
 * although the fault that led to it walked the tables as they are, and set their A and D bits: two walks,
 * as with another actor in between.
 */
function judgeAlone(
  world: World,
  step: AccessStep,
  got: Outcome,
  outcomes: readonly Legal[],
): Verdict {
  const verdict = judge(world, step, got, outcomes);
  if (verdict.kind === "right" || got.kind !== "device") return verdict;
  return judgeRaced(world, step, got, outcomes, []);
}

/** One of the outcomes must fit in all it does. */
function judge(world: World, step: AccessStep, got: Outcome, outcomes: readonly Legal[]): Verdict {
  const touched = touchedWords(world, outcomes, step);
  const reasons = new Set<string>();
  for (const legal of outcomes) {
    const after = afterwards(world, legal, step);
    const wrong =
      outcomeDiffers(got, expectedOutcome(world, step, legal, after)) ??
      memoryDiffers(world, touched, after);
    if (wrong === undefined) {
      apply(world, step, legal);
      return { kind: "right", legal };
    }
    reasons.add(wrong);
  }
  return { kind: "wrong", why: [...reasons].join("; or ") };
}

function expectedOutcome(
  world: World,
  step: AccessStep,
  legal: Legal,
  after: ReadonlyMap<number, bigint>,
): Outcome {
  if (legal.kind === "fault") return { kind: "fault", error: legal.error, cr2: step.va };
  const offset = ramOffset(world, legal, step);
  if (offset < 0) return { kind: "device", gpa: legal.gpa };
  if (step.kind === "write") return { kind: "ok", value: 0n };
  const word = offset - (offset % 8);
  const value = after.get(word) ?? oracleWord(world, word);
  return { kind: "ok", value: partOf(value, offset, step.size ?? 8) };
}

export function outcomeDiffers(got: Outcome, expected: Outcome): string | undefined {
  const [is, should] = [outcomeText(got), outcomeText(expected)];
  return is === should ? undefined : `${is}, should be ${should}`;
}

function memoryDiffers(
  world: World,
  touched: ReadonlySet<number>,
  after: ReadonlyMap<number, bigint>,
): string | undefined {
  for (const word of touched) {
    const expected = after.get(word) ?? oracleWord(world, word);
    const got = productWord(world, word);
    if (got !== expected)
      return `RAM at ${word.toString(16)} holds ${got.toString(16)}, should be ${expected.toString(16)}`;
  }
  return undefined;
}

/** The oracle does what the product did. */
export function apply(world: World, step: AccessStep, legal: Legal): void {
  if (legal.kind === "fault") return;
  const { memory } = world;
  for (const { gpa, size, bits } of legal.marks) memory.mark(gpa, size, bits);
  if (step.kind === "write" && ramOffset(world, legal, step) >= 0)
    memory.write(legal.gpa, step.size ?? 8, step.value ?? 0n);
}

function outcomeText(outcome: Outcome): string {
  switch (outcome.kind) {
    case "ok":
      return `value ${outcome.value.toString(16)}`;
    case "fault":
      return `#PF ${outcome.error.toString(16)} at ${outcome.cr2.toString(16)}`;
    case "device":
      return `device at gpa ${outcome.gpa.toString(16)}`;
  }
}

const FAULT_BITS = ["P", "W", "U", "RSVD", "F", "PK"] as const;

function outcomeName(got: Outcome, legal: Legal): string {
  if (got.kind === "fault")
    return `#PF ${FAULT_BITS.filter((_, i) => got.error & (1 << i)).join(" ") || "0"}`;
  const how = legal.kind === "reaches" && legal.stale ? ", by a stale translation" : "";
  return `${got.kind === "ok" ? "done" : "device"}${how}`;
}

export const describeAccess = ({ kind, va, cpl, vcpu, implicit, emulated }: AccessStep): string =>
  `${emulated ? "emulated " : ""}${implicit ? "implicit " : ""}${kind} of ${va.toString(16)} at CPL ${cpl} on vCPU ${vcpu}`;
