import type { Legal } from "./legal-outcomes";
import type { AccessStep } from "./steps";
import type { World } from "./world";

/*
 * Aligned words of 8 bytes in RAM, named by their offset in the store: those that an access may change,
 * and how.
 */

/** Words and their values. */
export type Words = ReadonlyMap<number, bigint>;

const wordIn = (bytes: Uint8Array, at: number): bigint =>
  new DataView(bytes.buffer, bytes.byteOffset + at, 8).getBigUint64(0, true);

export const oracleWord = (world: World, at: number): bigint => wordIn(world.memory.bytes, at);
export const productWord = (world: World, at: number): bigint =>
  wordIn(world.subject.contents(Math.floor(at / 4096)), at % 4096);

const wordOf = (offset: number): number => offset - (offset % 8);

/** Offset of the RAM that the outcome reads or writes; -1 when it goes to a device or faults. */
export function ramOffset(world: World, legal: Legal, step: AccessStep): number {
  if (legal.kind === "fault") return -1;
  const { memory } = world;
  if (step.kind === "write" && !memory.isWritable(legal.gpa)) return -1;
  return memory.offsetOf(legal.gpa);
}

/** Bits that the outcomes may set in entries, by word. */
export function markedBits(world: World, outcomes: readonly Legal[]): Words {
  const bits = new Map<number, bigint>();
  for (const legal of outcomes) {
    if (legal.kind === "fault") continue;
    for (const mark of legal.marks) {
      const offset = world.memory.offsetOf(mark.gpa);
      if (offset < 0) continue;
      const word = wordOf(offset);
      bits.set(word, (bits.get(word) ?? 0n) | (mark.bits << BigInt(8 * (offset - word))));
    }
  }
  return bits;
}

/** Offsets of all words that some of the outcomes change or look at. */
export function touchedWords(
  world: World,
  outcomes: readonly Legal[],
  step: AccessStep,
): ReadonlySet<number> {
  const words = new Set(markedBits(world, outcomes).keys());
  for (const legal of outcomes) {
    const offset = ramOffset(world, legal, step);
    if (offset >= 0) words.add(wordOf(offset));
  }
  return words;
}

/** What the words that the outcome changes hold afterwards, given what they hold now. */
export function afterwards(world: World, legal: Legal, step: AccessStep): Words {
  const words = new Map<number, bigint>();
  for (const [word, bits] of markedBits(world, [legal]))
    words.set(word, oracleWord(world, word) | bits);
  const offset = ramOffset(world, legal, step);
  if (step.kind !== "write" || offset < 0) return words;
  const word = wordOf(offset);
  words.set(word, replaced(words.get(word) ?? oracleWord(world, word), offset - word, step));
  return words;
}

function replaced(word: bigint, at: number, { size = 8, value = 0n }: AccessStep): bigint {
  const mask = ((1n << BigInt(8 * size)) - 1n) << BigInt(8 * at);
  return (word & ~mask) | ((value << BigInt(8 * at)) & mask);
}

/** The bytes that a read of RAM at `offset` gives, from the word they lie in. */
export function partOf(word: bigint, offset: number, size: number): bigint {
  return (word >> BigInt(8 * (offset % 8))) & ((1n << BigInt(8 * size)) - 1n);
}
