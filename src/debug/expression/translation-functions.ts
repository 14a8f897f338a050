import { type Gpa, gpa, gva, type Hpa, type Hva, hpa, hva } from "../../x86";
import { leafOf } from "../inspect/guest-walk";
import { gpasOfHva, hpaOfHva, hvaOfGpa, hvaOfHpa, type Located } from "../inspect/spaces";
import { addressOf, anAddress, type FunctionRow } from "./function-row";
import type { Scope } from "./scope";
import { ADDRESS_SPACES, type AddressSpace } from "./space";
import { type AddressValue, addressIn, fault, listOf, type Value } from "./value";

const anywhere = anAddress(...ADDRESS_SPACES);

type Step<A> = (scope: Scope, at: AddressValue) => Located<A>;

const good = <A>(at: A): Located<A> => ({ ok: true, at });
const bad = (why: string): { readonly ok: false; readonly why: string } => ({ ok: false, why });

/** Physical addresses are below 2^52: above it a number is no address. */
function bounded(at: AddressValue): number | undefined {
  const value = at.space === "gfn" || at.space === "pfn" ? at.value << 12n : at.value;
  return value < 1n << 52n ? Number(value) : undefined;
}

const then = <A, B>(from: Located<A>, next: (at: A) => Located<B>): Located<B> =>
  from.ok ? next(from.at) : from;

/** A host address may stand for several guest ones: the first leads on, `gpa(…)` shows them all. */
const toGpas: Step<readonly Gpa[]> = (scope, at) => {
  const { machine } = scope;
  if (at.space === "gva") {
    const root = at.root === undefined ? undefined : gpa(Number(at.root));
    const { outcome } = leafOf(machine, scope.vcpu, gva(at.value), root);
    return outcome.kind === "translation" ? good([gpa(outcome.to)]) : bad(outcome.text);
  }
  const number = bounded(at);
  if (number === undefined)
    return bad(`0x${at.value.toString(16)} is beyond every physical address`);
  if (at.space === "gpa" || at.space === "gfn") return good([gpa(number)]);
  if (at.space === "hva") return gpasOfHva(machine, hva(number));
  return then(hvaOfHpa(machine, hpa(number)), (host) => gpasOfHva(machine, host));
};

const toHva: Step<Hva> = (scope, at) => {
  if (at.space === "hva") return good(hva(Number(at.value)));
  const number = bounded(at);
  if ((at.space === "hpa" || at.space === "pfn") && number !== undefined)
    return hvaOfHpa(scope.machine, hpa(number));
  return then(toGpas(scope, at), ([first]) => hvaOfGpa(scope.machine, first ?? gpa(0)));
};

const toHpa: Step<Hpa> = (scope, at) => {
  const number = bounded(at);
  if ((at.space === "hpa" || at.space === "pfn") && number !== undefined) return good(hpa(number));
  return then(toHva(scope, at), (host) => hpaOfHva(scope.machine, host));
};

const shown = <A extends number>(space: AddressSpace, located: Located<A>): Value =>
  located.ok ? addressIn(space, located.at) : fault(located.why);

export const translationFunctions: readonly FunctionRow[] = [
  {
    name: "gva",
    signature: "gva(address)",
    about: "The address as a guest virtual one",
    parameters: [anywhere],
    apply(_scope, [value]) {
      if (value?.kind !== "address" || value.space === "gva") return addressOf(value, "gva");
      return `any number of gvas may lead to a ${value.space}; rmap(gpa) lists the sptes that do`;
    },
  },
  {
    name: "gpa",
    signature: "gpa(address)",
    about: "The guest physical address behind an address of any space",
    parameters: [anywhere],
    apply(scope, [value]) {
      const located = toGpas(scope, addressOf(value, "gva"));
      if (!located.ok) return fault(located.why);
      const values = located.at.map((at) => addressIn("gpa", at));
      return values.length === 1 && values[0] ? values[0] : listOf(values);
    },
  },
  {
    name: "hva",
    signature: "hva(address)",
    about: "The address in the host process behind an address of any space",
    parameters: [anywhere],
    apply: (scope, [value]) => shown("hva", toHva(scope, addressOf(value, "gva"))),
  },
  {
    name: "hpa",
    signature: "hpa(address)",
    about: "The host physical address behind an address of any space",
    parameters: [anywhere],
    apply: (scope, [value]) => shown("hpa", toHpa(scope, addressOf(value, "gva"))),
  },
];
