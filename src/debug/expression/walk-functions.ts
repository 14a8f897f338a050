import { type Gpa, gpa, gva } from "../../x86";
import { gpteBits } from "../inspect/gpte-bits";
import { type GuestWalk, leafOf, type WalkStep, walkGuest } from "../inspect/guest-walk";
import { bitsValue, flagsText } from "./bits";
import {
  addressOf,
  aNumber,
  anAddress,
  anything,
  type FunctionRow,
  numberOr,
} from "./function-row";
import { PAGE_FAULT_BITS } from "./register-bits";
import type { Scope } from "./scope";
import {
  type AddressValue,
  addressIn,
  boolean,
  type Field,
  fault,
  field,
  integer,
  listOf,
  numberOf,
  text,
  type Value,
} from "./value";

/** Letters of an access, as in "wu". */
const ACCESS_LETTERS: Readonly<Record<string, number>> = { r: 0, w: 2, u: 4, x: 0x10, f: 0x10 };

/** The bits of an access given as a number or in letters; a text is what is wrong with it. */
export function accessOf(value: Value | undefined): number | string {
  if (value === undefined) return 0;
  if (value.kind !== "text") return Number((numberOf(value) ?? 0n) & 0x16n);
  let access = 0;
  for (const letter of value.value) {
    const bit = ACCESS_LETTERS[letter];
    if (bit === undefined)
      return `an access is made of r, w, u and x, as in "wu"; "${letter}" is none of them`;
    access |= bit;
  }
  return access;
}

const rootIn = (at: AddressValue): Gpa | undefined =>
  at.root === undefined ? undefined : gpa(Number(at.root));

export const walkFunctions: readonly FunctionRow[] = [
  {
    name: "walk",
    signature: 'walk(gva[, "wu"])',
    about: "The guest's own translation of an address, step by step",
    parameters: [anAddress("gva"), anything],
    least: 1,
    apply(scope, [value, access]) {
      const at = addressOf(value, "gva");
      const bits = accessOf(access);
      if (typeof bits === "string") return bits;
      return walkValue(walkGuest(scope.machine, scope.vcpu, gva(at.value), bits, rootIn(at)));
    },
  },
  {
    name: "gpte",
    signature: "gpte(gva[, level])",
    about: "The guest's paging entry for an address; without a level the last one read",
    parameters: [anAddress("gva"), aNumber],
    least: 1,
    apply(scope, [value, level]) {
      const at = addressOf(value, "gva");
      return gpteFor(scope, at, level === undefined ? undefined : numberOr(level, 0));
    },
  },
];

function gpteFor(scope: Scope, at: AddressValue, level: number | undefined): Value | string {
  const walk = leafOf(scope.machine, scope.vcpu, gva(at.value), rootIn(at));
  const step = level === undefined ? walk.steps.at(-1) : walk.steps.find((s) => s.level === level);
  if (step) return gpteValue(step, walk);
  if (walk.steps.length === 0) return fault("paging is off: there are no entries");
  const top = walk.steps[0]?.level ?? 0;
  if (level !== undefined && level > top)
    return `there is no level ${level}: the tables have ${top}`;
  const last = walk.steps.at(-1);
  if (walk.outcome.kind === "fault") return fault(walk.outcome.text);
  return fault(`the walk ends at level ${last?.level ?? 0} with a large page`);
}

/** An entry of the guest's tables with its bits by name. */
export function gpteValue(step: WalkStep, walk: GuestWalk): Value {
  const { level, entry, at } = step;
  const bits = gpteBits(level, isLarge(step));
  const frame = (entry >> 12n) & 0xff_ffff_ffffn;
  const more: Field[] = [
    field("addr", () => (at === undefined ? text("a PDPTE register") : addressIn("gpa", at))),
    field("value", () => integer(entry, "x")),
    field("pfn", () => addressIn("gfn", frame)),
    field("level", () => integer(level)),
    field("large", () => boolean(isLarge(step))),
    field("gva", () => addressIn("gva", walk.gva)),
  ];
  const record = bitsValue(entry, bits, more);
  const summary =
    entry & 1n
      ? `0x${entry.toString(16)} → pfn 0x${frame.toString(16)}, ${flagsText(entry, bits)}`
      : `${entry === 0n ? "0" : `0x${entry.toString(16)}`} → not present`;
  const place = at === undefined ? {} : { place: addressIn("gpa", at), size: 8 };
  return { ...record, summary, ...place };
}

const isLarge = ({ level, entry }: WalkStep): boolean => level > 1 && (entry & 0x81n) === 0x81n;

function walkValue(walk: GuestWalk): Value {
  const { outcome } = walk;
  const steps = field("steps", () => listOf(walk.steps.map((step) => stepValue(step, walk))));
  if (outcome.kind === "translation") {
    const to = `gpa:0x${outcome.gpa.toString(16)}`;
    return {
      kind: "record",
      summary: `gva:0x${walk.gva.toString(16)} → ${to}, level ${outcome.level}`,
      fields: [
        field("outcome", () => text("translation")),
        field("gpa", () => addressIn("gpa", outcome.gpa)),
        field("level", () => integer(outcome.level)),
        steps,
      ],
    };
  }
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

function stepValue(step: WalkStep, walk: GuestWalk): Value {
  const entry = gpteValue(step, walk);
  const summary = entry.kind === "record" ? entry.summary : "";
  return {
    kind: "record",
    summary: `level ${step.level}: ${summary}`,
    fields: [field("level", () => integer(step.level)), field("entry", () => entry)],
  };
}
