import { SLOT_FLAG } from "../../kvm";
import { type FieldValue, gpa, gva } from "../../x86";
import { evaluateExpression } from "../expression/evaluate";
import type { Scope } from "../expression/scope";
import type { Expression } from "../expression/syntax";
import { type AddressValue, addressIn, isWrong, numberOf } from "../expression/value";
import { leafOf } from "../inspect/guest-walk";
import { walkShadow } from "../inspect/shadow-walk";
import type { EventFilter } from "./catalogue";
import type { Access, Target } from "./grammar";

type Fields = Readonly<Record<string, FieldValue>>;

/**
 * True when the event is about all of these targets. An address of another space than the event's is
 * translated as the guest stands now; one that leads nowhere matches nothing.
 */
export function matches(
  filter: EventFilter,
  targets: readonly Target[],
  scope: Scope,
  fields: Fields,
): boolean {
  const level = levelOf(targets, scope);
  return targets.every((target) => meets(target, targets, filter, level, scope, fields));
}

function meets(
  target: Target,
  targets: readonly Target[],
  filter: EventFilter,
  level: number | undefined,
  scope: Scope,
  fields: Fields,
): boolean {
  switch (target.kind) {
    case "level":
      // With a gva the level says which entry is meant: it is used to find that.
      return namesEntry(targets, filter, scope) || fields.level === level;
    case "slot":
      return inSlot(scope, fields, numberIn(target.id, scope));
    case "sp":
      return onPage(scope, fields, numberIn(target.at, scope));
    case "address":
      return atAddress(filter, target, level, scope, fields);
  }
}

/** The kinds of change of an spte that an access stands for. */
export function accessAllows(access: Access | undefined, filter: EventFilter): boolean {
  if (access === "zap") return !filter.id.endsWith("-set");
  if (access === "set") return !filter.id.endsWith("-zap");
  return access !== "r" && access !== "x";
}

function levelOf(targets: readonly Target[], scope: Scope): number | undefined {
  for (const target of targets) if (target.kind === "level") return numberIn(target.level, scope);
  return undefined;
}

function numberIn(expression: Expression, scope: Scope): number | undefined {
  const value = evaluateExpression(expression, scope);
  const number = isWrong(value) ? undefined : numberOf(value);
  return number === undefined ? undefined : Number(number);
}

function addressFrom(
  expression: Expression,
  filter: EventFilter,
  scope: Scope,
): AddressValue | undefined {
  const value = evaluateExpression(expression, scope);
  if (isWrong(value)) return undefined;
  if (value.kind === "address") return value;
  const number = numberOf(value);
  return number === undefined ? undefined : addressIn(filter.target?.space ?? "gva", number);
}

/** A gva names an entry, where the event is about entries: the one that translates it. */
function namesEntry(targets: readonly Target[], filter: EventFilter, scope: Scope): boolean {
  return targets.some(
    (t) =>
      t.kind === "address" &&
      filter.target?.space === "gpa" &&
      addressFrom(t.at, filter, scope)?.space === "gva",
  );
}

function atAddress(
  filter: EventFilter,
  target: Target & { readonly kind: "address" },
  level: number | undefined,
  scope: Scope,
  fields: Fields,
): boolean {
  const at = addressFrom(target.at, filter, scope);
  if (!at || !filter.target) return false;
  const length = BigInt(
    (target.length && numberIn(target.length, scope)) ?? (target.length ? 0 : granule(filter, at)),
  );
  // The address of the spte itself: what a view offers to break on.
  const place =
    at.space === "hpa" && fields.sptep !== undefined
      ? { at: at.value, field: "sptep" }
      : placeOf(filter, at, level, scope);
  const actual = place && fields[place.field];
  if (place === undefined || (typeof actual !== "number" && typeof actual !== "bigint"))
    return false;
  const value = BigInt(actual);
  return value >= place.at && value < place.at + length;
}

/** Without a length an event about pages is asked for the page, any other for the exact address. */
function granule(filter: EventFilter, at: AddressValue): number {
  if (at.space === "hpa") return 8;
  if (filter.id === "invlpg" || filter.id.startsWith("spte-")) return 4096;
  return filter.id === "gpte-write" ? 8 : 1;
}

function placeOf(
  filter: EventFilter,
  at: AddressValue,
  level: number | undefined,
  scope: Scope,
): { readonly at: bigint; readonly field: string } | undefined {
  const { target } = filter;
  if (!target) return undefined;
  const page = filter.id === "invlpg" || filter.id.startsWith("spte-");
  const aligned = (value: bigint): bigint => (page ? value & ~0xfffn : value);
  if (at.space === target.space) return { at: aligned(at.value), field: target.field };
  if (at.space === "gfn" && target.space === "gpa")
    return { at: at.value << 12n, field: target.field };
  if (at.space !== "gva" || target.space !== "gpa") return undefined;
  return filter.id === "gpte-write" ? gpteOf(scope, at, level) : spteOf(scope, at, level);
}

function gpteOf(scope: Scope, at: AddressValue, level: number | undefined) {
  const root = at.root === undefined ? undefined : gpa(Number(at.root));
  const { steps } = leafOf(scope.machine, scope.vcpu, gva(at.value), root);
  const step = level === undefined ? steps.at(-1) : steps.find((s) => s.level === level);
  return step?.at === undefined ? undefined : { at: BigInt(step.at), field: "gpa" };
}

function spteOf(scope: Scope, at: AddressValue, level: number | undefined) {
  if (level === undefined) {
    const { outcome } = leafOf(scope.machine, scope.vcpu, gva(at.value));
    return outcome.kind === "translation"
      ? { at: BigInt(outcome.to) & ~0xfffn, field: "gpa" }
      : undefined;
  }
  const step = walkShadow(scope.machine, scope.vcpu, gva(at.value))?.steps.find(
    (s) => s.level === level,
  );
  return step?.at === undefined ? undefined : { at: BigInt(step.at), field: "sptep" };
}

function inSlot(scope: Scope, fields: Fields, id: number | undefined): boolean {
  if (fields.slot !== undefined) return fields.slot === id;
  const slot = scope.machine.vm?.slots.find((s) => s.id === id && !(s.flags & SLOT_FLAG.invalid));
  const { gfn } = fields;
  return (
    slot !== undefined &&
    typeof gfn === "number" &&
    gfn >= slot.baseGfn &&
    gfn < slot.baseGfn + slot.npages
  );
}

/** The shadow page of the guest table at this gpa: the event carries the page's number. */
function onPage(scope: Scope, fields: Fields, at: number | undefined): boolean {
  if (at === undefined) return false;
  const frame = Math.floor(at / 4096);
  if (fields.spt !== undefined) return fields.gfn === frame;
  for (const page of scope.machine.vm?.activePages() ?? [])
    if (page.gfn === frame && page.serial === fields.sp) return true;
  return false;
}
