import type { SpteFormat } from "../../kvm";
import {
  type Format,
  type Gva,
  IN_REGISTER,
  type PassivePort,
  type Physical,
  pageOffsetOfGva,
  WalkResult,
  type WalkRoot,
  type WalkRules,
  walk,
} from "../../x86";

/** An entry that a walk read. */
export interface WalkStep {
  readonly level: number;
  /** In the space of the tables; `undefined`: a PDPTE register, not memory. */
  readonly at: number | undefined;
  readonly entry: bigint;
}

/** A translation through one set of tables, or why there is none. */
export interface TableWalk {
  /** `gpte`: the guest's own tables, at gpa. `spte`: the shadow of them, at hpa. */
  readonly of: "gpte" | "spte";
  /** How its sptes are laid out. */
  readonly sptes: SpteFormat | undefined;
  readonly gva: Gva;
  /** The address is no gva but a guest-physical one: the walk is through the second dimension. */
  readonly from?: "gpa";
  /** Gives the entries their meaning. */
  readonly format: Format;
  /** From the root down; empty without paging. */
  readonly steps: readonly WalkStep[];
  readonly outcome:
    | {
        readonly kind: "translation";
        /** In the space of the tables. */
        readonly to: number;
        /** Of the leaf. */
        readonly level: number;
        /** What all levels grant together: X 1, W 2, U 4. */
        readonly rights: number;
      }
    | {
        readonly kind: "fault";
        readonly level: number;
        /** Page-fault error code (SDM 3A 4.7). */
        readonly error: number;
        /** "not present at level 2: gpte at gpa:0x2018 = 0" */
        readonly text: string;
      };
}

/** Walks and keeps the steps: over shadow tables with their layout, else over the guest's own. Nothing changes: the port can only read. */
export function walkTables<A extends Physical>(
  sptes: SpteFormat | undefined,
  rules: WalkRules,
  root: WalkRoot<A>,
  gva: Gva,
  access: number,
  port: PassivePort<A>,
): TableWalk {
  const of = sptes ? "spte" : "gpte";
  const steps: WalkStep[] = [];
  const result = walk(rules, root, gva, access, port, new WalkResult<A>(), {
    element: (level, at, lo, hi) => {
      const entry = (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
      steps.push({ level, at: at === IN_REGISTER ? undefined : at, entry });
    },
  });
  const { level, error } = result;
  const { format } = rules;
  if (result.kind === "translation") {
    const to = result.frame * 4096 + pageOffsetOfGva(gva);
    return {
      of,
      sptes,
      gva,
      format,
      steps,
      outcome: { kind: "translation", to, level, rights: result.access },
    };
  }
  const why = `${reasonText(rules, result.reason, error)} at level ${level}`;
  const text = `${why}: ${entryText(of, steps.at(-1), result)}`;
  return { of, sptes, gva, format, steps, outcome: { kind: "fault", level, error, text } };
}

const REASONS = {
  "not-present": "not present",
  unreadable: "not present",
  reserved: "a reserved bit is set",
  permission: "not allowed",
  "protection-key": "refused by the protection key",
} as const;

function reasonText(
  { format }: WalkRules,
  reason: WalkResult<Physical>["reason"],
  error: number,
): string {
  if (format.ept && reason === "reserved") return "an EPT misconfiguration";
  if (reason !== "permission") return REASONS[reason ?? "not-present"];
  const what = error & 0x10 ? "execution" : error & 2 ? "write" : "read";
  if (format.ept) return `${what} not allowed`;
  return `${error & 4 ? "user" : "supervisor"} ${what} not allowed`;
}

function entryText<A extends Physical>(
  of: TableWalk["of"],
  step: WalkStep | undefined,
  result: WalkResult<A>,
): string {
  const space = of === "gpte" ? "gpa" : "hpa";
  if (result.reason === "unreadable")
    return `its table at ${space}:0x${result.entryAt(result.level).toString(16)} is outside memory`;
  const entry = step?.entry ?? 0n;
  const value = entry === 0n ? "0" : `0x${entry.toString(16)}`;
  if (step?.at === undefined) return `${of} in a PDPTE register = ${value}`;
  return `${of} at ${space}:0x${step.at.toString(16)} = ${value}`;
}
