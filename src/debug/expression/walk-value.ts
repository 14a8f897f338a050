import type { SpteFormat } from "../../kvm";
import { entryBits, entryFlags, entryFrame, entryRole, type Format } from "../../x86";
import type { TableWalk, WalkStep } from "../inspect/table-walk";
import { bitsValue, type NamedBit } from "./bits";
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

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

const WORDS = {
  gpte: { entries: "gpa", frames: "gfn" },
  spte: { entries: "hpa", frames: "pfn" },
} as const;

/** Bits of an spte as fields: `host-w` is written `host_w`, as a field is one word. */
const spteBits = ({ bits }: SpteFormat): readonly NamedBit[] =>
  bits.map(({ bit, id, name }) => ({ bit, id: id.replaceAll("-", "_"), name }));

/** A shadow entry of this layout, or else a guest entry, with its bits by name. */
export function entryValue(
  sptes: SpteFormat | undefined,
  format: Format,
  step: WalkStep,
  more: readonly Field[] = [],
): Value {
  const of = sptes ? "spte" : "gpte";
  const { level, entry, at } = step;
  const { entries, frames } = WORDS[of];
  const bits = sptes ? spteBits(sptes) : entryBits(format, level, entry);
  const frame = entryFrame(format, level, entry);
  const large = entryRole(format, level, entry) === "large";
  const fields: Field[] = [
    field("addr", () => (at === undefined ? text("a PDPTE register") : addressIn(entries, at))),
    field("value", () => integer(entry, "x")),
    field("pfn", () => addressIn(frames, frame)),
    field("level", () => integer(level)),
    field("large", () => boolean(large)),
    ...more,
  ];
  const flags = sptes
    ? sptes.flags(entry, level).join(" ").toUpperCase()
    : entryFlags(format, level, entry);
  const place = at === undefined ? {} : { place: addressIn(entries, at), size: format.entryBytes };
  return {
    ...bitsValue(entry, bits, fields),
    summary: entrySummary(of, entry, frame, flags),
    flags,
    ...place,
  };
}

function entrySummary(of: TableWalk["of"], entry: bigint, frame: number, flags: string): string {
  if (entry & 1n) return `${hex(entry)} → pfn ${hex(frame)}, ${flags}`;
  // The value of an empty spte has bit 63 set: it is not 0.
  const empty = entry === 0n || (of === "spte" && entry === 1n << 63n);
  return empty ? "empty, not present" : `${hex(entry)}, not present`;
}

/** A whole walk: steps, outcome, and for a fault what failed. */
export function walkValue(walk: TableWalk): Value {
  const { outcome, of } = walk;
  const steps = field("steps", () => listOf(walk.steps.map((step) => stepValue(walk, step))));
  const space = WORDS[of].entries;
  if (outcome.kind === "translation")
    return {
      kind: "record",
      summary: `${walk.from ?? "gva"}:${hex(walk.gva)} → ${space}:${hex(outcome.to)}, level ${outcome.level}`,
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

function stepValue({ sptes, format }: TableWalk, step: WalkStep): Value {
  const entry = entryValue(sptes, format, step);
  return {
    kind: "record",
    summary: `level ${step.level}: ${entry.kind === "record" ? entry.summary : ""}`,
    fields: [field("level", () => integer(step.level)), field("entry", () => entry)],
  };
}
