import { entryBits, entryName } from "./bits";
import type { EntryBit } from "./entry-bit";
import { rightsOf } from "./entry-mask";
import { eptMisconfigured } from "./ept-misconfiguration";
import type { FormatMode } from "./format";
import { ACC, PFEC, permissionFault } from "./permission";
import { reservedAt } from "./reserved";
import type { Physical } from "./table-port";
import type { WalkRules } from "./walk";
import type { FaultReason, WalkResult } from "./walk-result";

/** The one thing that made a walk fail. */
export interface Failure {
  readonly reason: FaultReason;
  /** Level of the entry to blame: the highest one that takes the right away. */
  readonly level: number;
  /** Bit number in that entry; absent when no bit of an entry is to blame. */
  readonly bit: number | undefined;
  readonly entry: bigint;
  /** Section of the SDM with the rule. */
  readonly sdm: string;
  /** One sentence without a full stop. */
  readonly text: string;
}

/** Explains the fault in `result`, which came from a walk under `rules` for `access`. */
export function walkFailure<A extends Physical>(
  rules: WalkRules,
  access: number,
  result: WalkResult<A>,
): Failure {
  const reason = result.reason ?? "not-present";
  if (rules.format.ept && reason !== "unreadable") return eptFailure(rules, access, result);
  switch (reason) {
    case "not-present":
      return at(result, reason, result.level, 0, "3A 4.7", "P is clear: nothing is mapped here");
    case "unreadable":
      return at(
        result,
        reason,
        result.level,
        undefined,
        "3A 4.7",
        `its table at 0x${result.entryAt(result.level).toString(16)} is not in memory`,
      );
    case "reserved":
      return reservedFailure(rules, result);
    case "permission":
      return permissionFailure(rules, access, result);
    case "protection-key": {
      const text = `protection key ${result.pkey}`;
      return at(result, reason, result.level, 59, "3A 4.6.2", `PKRU refuses ${text}`);
    }
  }
}

function reservedFailure<A extends Physical>(rules: WalkRules, result: WalkResult<A>): Failure {
  const { level } = result;
  const entry = result.entry(level);
  const masks = reservedAt(level, Number((entry >> 7n) & 1n));
  const mask = (BigInt(rules.reserved[masks + 1] ?? 0) << 32n) | BigInt(rules.reserved[masks] ?? 0);
  const wrong = bitsOf(entry & mask);
  const named = wrong.length === 1 ? `bit ${wrong[0]} is` : `bits ${wrong.join(", ")} are`;
  const sdm = RESERVED_SECTION[rules.format.mode];
  return at(result, "reserved", level, wrong[0], sdm, `${named} reserved here and set`);
}

/** Sections with the tables of reserved bits. */
const RESERVED_SECTION: Readonly<Record<FormatMode, string>> = {
  none: "3A 4.1.1",
  "32-bit": "3A 4.3",
  PAE: "3A 4.4",
  "4-level": "3A 4.5",
  "5-level": "3A 4.5",
  EPT: "3C 28.3.3.1",
};

/** Tried in the order of SDM 3A 4.6.1: mode, write, fetch, then SMEP and SMAP. */
function permissionFailure<A extends Physical>(
  rules: WalkRules,
  access: number,
  result: WalkResult<A>,
): Failure {
  const user = access & PFEC.user;
  /** Level that takes the right away, if under these rules that alone refuses the access. */
  const culprit = (kind: number, right: number): number => {
    // Everything but the right; for the supervisor a page that SMEP and SMAP leave alone.
    const others = (user ? ACC.all : ACC.all & ~ACC.user) & ~right;
    const matters = permissionFault(rules.permissions, 0, 0, others, 0, (access & kind) | user);
    return matters ? blamed(rules, result, right) : 0;
  };
  const refuse = (level: number, id: string, text: string): Failure => {
    const row = rowOf(rules, result, level, id);
    return at(result, "permission", level, row?.bit, row?.sdm ?? "3A 4.6.1", text);
  };
  for (const [kind, right, id, text] of [
    [PFEC.user, ACC.user, "u", "U is clear: user-mode accesses are refused"],
    [PFEC.write, ACC.write, "w", "W is clear: writes are refused"],
    [PFEC.fetch, ACC.exec, "nx", "NX is set: fetches are refused"],
  ] as const) {
    const level = culprit(kind, right);
    if (level > 0) return refuse(level, id, text);
  }
  const guard =
    access & PFEC.fetch
      ? "CR4.SMEP refuses supervisor fetches from"
      : "CR4.SMAP refuses supervisor accesses to";
  return refuse(result.level, "u", `U is set at every level: ${guard} user pages`);
}

/** The same in the terms of EPT: violation (SDM 3C 28.3.3.2) or misconfiguration (28.3.3.1). */
function eptFailure<A extends Physical>(
  rules: WalkRules,
  access: number,
  result: WalkResult<A>,
): Failure {
  const reason = result.reason ?? "not-present";
  const violation = "3C 28.3.3.2";
  if (reason === "not-present") {
    const text = "R, W and X are clear: nothing is mapped here";
    return at(result, reason, result.level, 0, violation, text);
  }
  if (reason === "reserved") {
    const low = result.entryLo(result.level);
    if (!eptMisconfigured(rules.badMtXwr, low)) return reservedFailure(rules, result);
    const rwx = "RWX".replace(/./g, (letter, i: number) => ((low >> i) & 1 ? letter : "-"));
    const text = `rights ${rwx} with memory type ${(low >> 3) & 7} are a misconfiguration`;
    return at(result, reason, result.level, undefined, "3C 28.3.3.1", text);
  }
  const [right, bit, text] =
    access & PFEC.fetch
      ? ([ACC.exec, 2, "X is clear: fetches are refused"] as const)
      : access & PFEC.write && blamed(rules, result, ACC.write)
        ? ([ACC.write, 1, "W is clear: writes are refused"] as const)
        : ([ACC.user, 0, "R is clear: reads are refused"] as const);
  return at(result, "permission", blamed(rules, result, right), bit, violation, text);
}

/** Highest level whose entry lacks the right; 0 when none does. */
function blamed<A extends Physical>(
  { format }: WalkRules,
  result: WalkResult<A>,
  right: number,
): number {
  for (let level = result.top; level > result.level; level--)
    if (!(result.inheritedAccess(level - 1) & right)) return level;
  const own = rightsOf(format, result.entryLo(result.level), result.entryHi(result.level));
  return own & right ? 0 : result.level;
}

function rowOf<A extends Physical>(
  rules: WalkRules,
  result: WalkResult<A>,
  level: number,
  id: string,
): EntryBit | undefined {
  return entryBits(rules.format, level, result.entry(level)).find((row) => row.id === id);
}

function at<A extends Physical>(
  result: WalkResult<A>,
  reason: FaultReason,
  level: number,
  bit: number | undefined,
  sdm: string,
  what: string,
): Failure {
  const entry = result.entry(level);
  const text = `${entryName(level)} 0x${entry.toString(16)}: ${what}`;
  return { reason, level, bit, entry, sdm, text };
}

function bitsOf(word: bigint): number[] {
  return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (word >> BigInt(bit)) & 1n);
}
