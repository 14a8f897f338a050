import { SPTE_BITS, spteFlags } from "../../kvm";
import { gpteBits } from "../inspect/gpte-bits";
import type { TableWalk, WalkStep } from "../inspect/table-walk";
import { bitsValue, flagsText, type NamedBit } from "./bits";
import { PAGE_FAULT_BITS } from "./register-bits";
import {
  addressIn,
  boolean,
  type Field,
  fault,
  field,
  integer,
  listOf,
  text,
  type Value,
} from "./value";

const FRAME = 0xff_ffff_ffffn;
const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** An entry stands for a page, not for a table: at level 1 always, above it with PS. */
export const isLarge = ({ level, entry }: WalkStep): boolean =>
  level > 1 && (entry & 0x81n) === 0x81n;

const WORDS = {
  gpte: { entries: "gpa", frames: "gfn" },
  spte: { entries: "hpa", frames: "pfn" },
} as const;

/** Bits of an spte as fields: `host-w` is written `host_w`, as a field is one word. */
const spteBits: readonly NamedBit[] = SPTE_BITS.map(({ bit, id, name }) => ({
  bit,
  id: id.replaceAll("-", "_"),
  name,
}));

/** A guest or shadow entry with its bits by name. */
export function entryValue(
  of: TableWalk["of"],
  step: WalkStep,
  more: readonly Field[] = [],
): Value {
  const { level, entry, at } = step;
  const { entries, frames } = WORDS[of];
  const bits = of === "gpte" ? gpteBits(level, isLarge(step)) : spteBits;
  const frame = (entry >> 12n) & FRAME;
  const fields: Field[] = [
    field("addr", () => (at === undefined ? text("a PDPTE register") : addressIn(entries, at))),
    field("value", () => integer(entry, "x")),
    field("pfn", () => addressIn(frames, frame)),
    field("level", () => integer(level)),
    field("large", () => boolean(isLarge(step))),
    ...more,
  ];
  const flags =
    of === "gpte" ? flagsText(entry, bits) : spteFlags(entry, level).join(" ").toUpperCase();
  const place = at === undefined ? {} : { place: addressIn(entries, at), size: 8 };
  return {
    ...bitsValue(entry, bits, fields),
    summary: entrySummary(of, entry, frame, flags),
    flags,
    ...place,
  };
}

function entrySummary(of: TableWalk["of"], entry: bigint, frame: bigint, flags: string): string {
  if (entry & 1n) return `${hex(entry)} → pfn ${hex(frame)}, ${flags}`;
  // The value of an empty spte has bit 63 set: it is not 0.
  const empty = entry === 0n || (of === "spte" && entry === 1n << 63n);
  return empty ? "empty, not present" : `${hex(entry)}, not present`;
}

/** A whole walk: steps, outcome, and for a fault what failed. */
export function walkValue(walk: TableWalk): Value {
  const { outcome, of } = walk;
  const steps = field("steps", () => listOf(walk.steps.map((step) => stepValue(of, step))));
  const space = WORDS[of].entries;
  if (outcome.kind === "translation")
    return {
      kind: "record",
      summary: `gva:${hex(walk.gva)} → ${space}:${hex(outcome.to)}, level ${outcome.level}`,
      fields: [
        field("outcome", () => text("translation")),
        field(space, () => addressIn(space, outcome.to)),
        field("level", () => integer(outcome.level)),
        steps,
      ],
    };
  const details = (): Value => ({
    kind: "record",
    summary: outcome.text,
    fields: [
      field("error", () => bitsValue(BigInt(outcome.error), PAGE_FAULT_BITS)),
      field("level", () => integer(outcome.level)),
      field("text", () => text(outcome.text)),
    ],
  });
  return fault(outcome.text, [
    field("outcome", () => text("fault")),
    field("fault", details),
    field("level", () => integer(outcome.level)),
    steps,
  ]);
}

function stepValue(of: TableWalk["of"], step: WalkStep): Value {
  const entry = entryValue(of, step);
  return {
    kind: "record",
    summary: `level ${step.level}: ${entry.kind === "record" ? entry.summary : ""}`,
    fields: [field("level", () => integer(step.level)), field("entry", () => entry)],
  };
}
