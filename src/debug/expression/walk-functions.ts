import { guestRoot } from "../../machine";
import { type Gpa, gpa, gva } from "../../x86";
import { leafOf, walkGuest } from "../inspect/guest-walk";
import { walkShadow, walkTdp } from "../inspect/shadow-walk";
import type { TableWalk } from "../inspect/table-walk";
import type { Result } from "./arithmetic";
import {
  addressOf,
  aNumber,
  anAddress,
  anything,
  type FunctionRow,
  numberOr,
} from "./function-row";
import { type Scope, stateOf } from "./scope";
import { type AddressValue, fault, numberOf, type Value } from "./value";
import { entryValue, walkValue } from "./walk-value";

/** Letters of an access, as in "wu". */
const ACCESS_LETTERS = new Map([
  ["r", 0],
  ["w", 2],
  ["u", 4],
  ["x", 0x10],
  ["f", 0x10],
]);

/** The bits of an access given as a number or in letters; a text is what is wrong with it. */
function accessOf(value: Value | undefined): number | string {
  if (value === undefined) return 0;
  if (value.kind !== "text") return Number((numberOf(value) ?? 0n) & 0x16n);
  let access = 0;
  for (const letter of value.value) {
    const bit = ACCESS_LETTERS.get(letter);
    if (bit === undefined)
      return `an access is made of r, w, u and x, as in "wu"; "${letter}" is none of them`;
    access |= bit;
  }
  return access;
}

const rootIn = (at: AddressValue): Gpa | undefined =>
  at.root === undefined ? undefined : gpa(Number(at.root));

const NO_SHADOW = "the hypervisor has no root: the guest runs without one, or has not run yet";

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
    name: "swalk",
    signature: 'swalk(address[, "wu"])',
    about: "The processor's translation through the hypervisor's tables, step by step",
    parameters: [anAddress("gva", "gpa"), anything],
    least: 1,
    apply(scope, [value, access]) {
      const bits = accessOf(access);
      if (typeof bits === "string") return bits;
      const walk = shadowWalkOf(scope, value, bits);
      return typeof walk === "string" ? fault(walk) : walkValue(walk);
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
      const walk = leafOf(scope.machine, scope.vcpu, gva(at.value), rootIn(at));
      return entryOf(walk, level);
    },
  },
  {
    name: "spte",
    signature: "spte(address[, level])",
    about: "The hypervisor's entry for an address; without a level the last one there is",
    parameters: [anAddress("gva", "gpa"), aNumber],
    least: 1,
    apply(scope, [value, level]) {
      const walk = shadowWalkOf(scope, value, 0);
      return typeof walk === "string" ? fault(walk) : entryOf(walk, level);
    },
  },
];

/** The processor has one root loaded: another address space has no shadow walk at this moment. */
function shadowWalkOf(scope: Scope, value: Value | undefined, access: number): TableWalk | string {
  const at = addressOf(value, "gva");
  if (at.space === "gpa") {
    if (scope.machine.vm && !scope.machine.vm.tdp)
      return "sptes translate a gva under shadow paging: ask for that, or use rmap(gpa)";
    return walkTdp(scope.machine, scope.vcpu, at.value, access) ?? NO_SHADOW;
  }
  const current = guestRoot(stateOf(scope));
  if (at.root !== undefined && typeof current === "number" && Number(at.root) !== current)
    return `the processor's root is the one of CR3 0x${current.toString(16)}: ask for a plain gva there`;
  return walkShadow(scope.machine, scope.vcpu, gva(at.value), access) ?? NO_SHADOW;
}

/** The entry of a level, or the last one read. */
function entryOf(walk: TableWalk, wanted: Value | undefined): Result {
  const level = wanted === undefined ? undefined : numberOr(wanted, 0);
  const step = level === undefined ? walk.steps.at(-1) : walk.steps.find((s) => s.level === level);
  if (step) return entryValue(walk.sptes, walk.format, step);
  if (walk.steps.length === 0) return fault("paging is off: there are no entries");
  const top = walk.steps[0]?.level ?? 0;
  if (level !== undefined && (level > top || level < 1))
    return `there is no level ${level}: the tables have ${top}`;
  if (walk.outcome.kind === "fault") return fault(walk.outcome.text);
  return fault(`the walk ends at level ${walk.outcome.level} with a large page`);
}
