import { entryBits, entryFlags, entryName, entryRole } from "./bits";
import { describeBits } from "./entry-bit";
import { rightsOf } from "./entry-mask";
import { errorFlags, errorText } from "./error-code";
import { entryIndex, isCanonical } from "./format";
import type { EntryRole } from "./format-bit";
import { ACC } from "./permission";
import type { FrameOf, PassivePort, Physical } from "./table-port";
import { type WalkRoot, type WalkRules, walk } from "./walk";
import { type Failure, walkFailure } from "./walk-failure";
import { IN_REGISTER, WalkResult } from "./walk-result";

/** One entry of a walk, with everything a person may ask about it. */
export interface WalkStep<A extends Physical> {
  readonly level: number;
  /** "PML4E" … "PTE". */
  readonly name: string;
  readonly index: number;
  /** Absent for a PDPTE, which is a register. */
  readonly at: A | undefined;
  readonly entry: bigint;
  readonly role: EntryRole;
  /** "P W U A". */
  readonly flags: string;
  /** One line per bit. */
  readonly bits: readonly string[];
  /** ACC rights left after this entry. */
  readonly access: number;
}

export interface WalkReport<A extends Physical> {
  readonly steps: readonly WalkStep<A>[];
  readonly outcome:
    | {
        readonly kind: "translation";
        /** Frame of the 4 KiB page, and its address with the offset. */
        readonly frame: FrameOf<A>;
        readonly address: A;
        readonly level: number;
        readonly access: number;
        readonly global: boolean;
      }
    | {
        readonly kind: "fault";
        readonly error: number;
        /** "P W U", and the same as a sentence part. */
        readonly errorFlags: string;
        readonly errorText: string;
        readonly failure: Failure;
      }
    /** No walk: the access ends in #GP or #SS (SDM 1 3.3.7.1). */
    | { readonly kind: "non-canonical"; readonly text: string };
}

/**
 * A walk that looks and changes nothing, step by step. Given a port that cannot write, it is the same
 * `walk` the processor uses. Without paging there are no steps.
 */
export function inspectWalk<A extends Physical>(
  rules: WalkRules,
  root: WalkRoot<A>,
  va: bigint,
  access: number,
  port: PassivePort<A>,
): WalkReport<A> {
  const { format } = rules;
  if (format.levels >= 4 && !isCanonical(va, format.levels))
    return {
      steps: [],
      outcome: {
        kind: "non-canonical",
        text: `0x${va.toString(16)} is not canonical: bits 63:${format.levels === 5 ? 56 : 47} differ`,
      },
    };
  const steps: WalkStep<A>[] = [];
  const lo = Number(BigInt.asUintN(32, va));
  const hi = Number(BigInt.asUintN(32, va >> 32n));
  let rights: number = ACC.all;
  const element = (level: number, at: A, entryLo: number, entryHi: number): void => {
    const entry = (BigInt(entryHi) << 32n) | BigInt(entryLo);
    const role = entryRole(format, level, entry);
    const own = role === "register" ? ACC.all : rightsOf(format, entryLo, entryHi);
    rights &= own;
    steps.push({
      level,
      name: entryName(level),
      index: entryIndex(format, level, lo, hi),
      at: at === IN_REGISTER ? undefined : at,
      entry,
      role,
      flags: entryFlags(format, level, entry),
      bits: describeBits(entryBits(format, level, entry), entry),
      access: rights,
    });
  };
  const result = walk(rules, root, va, access, port, new WalkResult<A>(), { element });
  return { steps, outcome: outcomeOf(rules, access, result, va) };
}

function outcomeOf<A extends Physical>(
  rules: WalkRules,
  access: number,
  result: WalkResult<A>,
  va: bigint,
): WalkReport<A>["outcome"] {
  if (result.kind === "fault")
    return {
      kind: "fault",
      error: result.error,
      errorFlags: errorFlags(result.error),
      errorText: errorText(result.error),
      failure: walkFailure(rules, access, result),
    };
  return {
    kind: "translation",
    frame: result.frame,
    address: (result.frame * 4096 + Number(va & 0xfffn)) as A,
    level: result.level,
    access: result.access,
    global: result.global,
  };
}
