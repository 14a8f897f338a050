import { apply, outcomeDiffers, type Verdict } from "./access";
import type { Legal } from "./legal-outcomes";
import type { Outcome } from "./processor";
import type { AccessStep } from "./steps";
import {
  afterwards,
  markedBits,
  oracleWord,
  partOf,
  productWord,
  ramOffset,
  touchedWords,
} from "./words";
import type { World } from "./world";

/**
 * An access in whose middle another actor changed something: it may come to what was legal before or
 * after that, and the bits it set in entries on the way may be there or not.
 */
export function judgeRaced(
  world: World,
  step: AccessStep,
  got: Outcome,
  before: readonly Legal[],
  after: readonly Legal[],
): Verdict {
  const outcomes = [...before, ...after];
  const marks = markedBits(world, outcomes);
  const reasons = new Set<string>();
  for (const legal of outcomes) {
    const wrong =
      outcomeWrong(world, step, got, legal, marks) ??
      memoryWrong(world, step, legal, outcomes, marks);
    if (wrong === undefined) {
      const { memory } = world;
      markOverwritten(world, step, legal, marks);
      apply(world, step, legal.kind === "reaches" ? { ...legal, marks: [] } : legal);
      for (const [word, bits] of marks) {
        const set = productWord(world, word) & bits;
        memory.markWord(word, set);
      }
      return { kind: "right", legal };
    }
    reasons.add(wrong);
  }
  return { kind: "wrong", why: [...reasons].join("; or ") };
}

/**
 * A write to an entry of its own path: what the processor set there before is gone from memory, but is in
 * the value that a TLB may know.
 */
function markOverwritten(
  world: World,
  step: AccessStep,
  legal: Legal,
  marks: ReadonlyMap<number, bigint>,
): void {
  const offset = step.kind === "write" ? ramOffset(world, legal, step) : -1;
  const word = offset - (offset % 8);
  const bits = offset < 0 ? undefined : marks.get(word);
  if (bits === undefined) return;
  const written = ((1n << BigInt(8 * (step.size ?? 8))) - 1n) << BigInt(8 * (offset - word));
  world.memory.markWord(word, bits & written);
}

function outcomeWrong(
  world: World,
  step: AccessStep,
  got: Outcome,
  legal: Legal,
  marks: ReadonlyMap<number, bigint>,
): string | undefined {
  if (legal.kind === "fault")
    return outcomeDiffers(got, { kind: "fault", error: legal.error, cr2: step.va });
  const offset = ramOffset(world, legal, step);
  if (offset < 0) return outcomeDiffers(got, { kind: "device", gpa: legal.gpa });
  if (step.kind === "write") return outcomeDiffers(got, { kind: "ok", value: 0n });
  const word = offset - (offset % 8);
  const { size = 8 } = step;
  const loose = partOf(marks.get(word) ?? 0n, offset, size);
  const value = partOf(oracleWord(world, word), offset, size);
  if (got.kind === "ok" && (got.value & ~loose) === (value & ~loose)) return undefined;
  return outcomeDiffers(got, { kind: "ok", value });
}

function memoryWrong(
  world: World,
  step: AccessStep,
  legal: Legal,
  outcomes: readonly Legal[],
  marks: ReadonlyMap<number, bigint>,
): string | undefined {
  const plain = legal.kind === "reaches" ? { ...legal, marks: [] } : legal;
  const written = afterwards(world, plain, step);
  for (const word of touchedWords(world, outcomes, step)) {
    const loose = marks.get(word) ?? 0n;
    const expected = written.get(word) ?? oracleWord(world, word);
    const got = productWord(world, word);
    if ((got & ~loose) !== (expected & ~loose))
      return `RAM at ${word.toString(16)} holds ${got.toString(16)}, should be ${expected.toString(16)}`;
  }
  return undefined;
}
