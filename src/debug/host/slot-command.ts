import type { MemorySlot } from "../../kvm";
import {
  flagsOf,
  MEMORY_BACKINGS,
  type MemoryBacking,
  type SlotControl,
  type SlotOutcome,
} from "../../machine";
import { gpa, type Hva, hva, PAGE_SIZE } from "../../x86";
import { byteSize } from "../byte-size";
import { evaluate } from "../expression/evaluate";
import { oneLine } from "../expression/problem";
import type { Scope } from "../expression/scope";
import { numberOf } from "../expression/value";
import { type CommandRow, helpText } from "./command-row";
import { asSentence, done, type HostAnswer, NO_HOST, notDone, refusedBy } from "./host-action";

/** A command about memslots; `words` are those after its name. */
interface SlotVerb {
  readonly signature: string;
  readonly about: string;
  run(scope: Scope, slots: SlotControl, words: readonly string[]): HostAnswer;
}

const FLAG_NAMES = ["ro", "log-dirty"] as const;
type FlagName = (typeof FLAG_NAMES)[number];

const VERBS: Readonly<Record<string, SlotVerb>> = {
  create: {
    signature:
      "slot create <gpa> <size> [ro|log-dirty|anonymous|thp|hugetlb-2m|hugetlb-1g|file|hva:0x…]",
    about: "makes a slot of new memory of the host, or of memory that has an hva already",
    run: create,
  },
  move: {
    signature: "slot move <slot> <gpa>",
    about: "puts the slot at another guest physical address",
    run: (scope, slots, words) =>
      withSlot(scope, words, (slot, [at = ""]) => {
        const address = physical(at, scope);
        if (typeof address === "string") return notDone(address);
        return told(slots.move(slot, gpa(address)), () => whereIs(slot.id, scope));
      }),
  },
  flags: {
    signature: "slot flags <slot> [none|log-dirty|ro]",
    about: "sets the slot's flags to these and no others",
    run: (scope, slots, words) =>
      withSlot(scope, words, (slot, names) => {
        const wrong = names.find((name) => name !== "none" && !isFlag(name));
        if (wrong !== undefined)
          return notDone(`"${wrong}" is no flag: choose ${FLAG_NAMES.join(", ")} or none.`);
        const flags = names.filter(isFlag);
        return told(
          slots.setFlags(slot, flags),
          () =>
            `Slot ${slot.id} has ${flags.length > 0 ? `the flags ${flags.join(", ")}` : "no flags"}`,
        );
      }),
  },
  delete: {
    signature: "slot delete <slot>",
    about: "takes the slot from the guest, and its memory from the host process",
    run: (scope, slots, words) =>
      withSlot(scope, words, (slot) =>
        told(
          slots.delete(slot),
          () => `Slot ${slot.id} is gone: ${rangeOf(slot)} is no memory now`,
        ),
      ),
  },
};

/** What the console can do to memslots. */
export const slotRows = (): readonly CommandRow[] => Object.values(VERBS);

/** The console's commands about memslots; `undefined` when the text is none. */
export function slotCommand(text: string, scope: Scope): HostAnswer | undefined {
  const [family, verb, ...words] = text.trim().split(/\s+/);
  if (family !== "slot" || verb === undefined || !/^[a-z-]+$/.test(verb)) return undefined;
  if (verb === "help") return done(helpText(slotRows()));
  const { slots } = scope.machine;
  if (!slots) return notDone(NO_HOST);
  const known = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
  return known
    ? known.run(scope, slots, words)
    : notDone(`There is no "slot ${verb}": "slot help" lists what there is.`);
}

function create(scope: Scope, slots: SlotControl, words: readonly string[]): HostAnswer {
  const [at = "", bytes = "", ...more] = words;
  const address = physical(at, scope);
  if (typeof address === "string") return notDone(address);
  const size = byteSize(bytes);
  if (size === undefined || size === 0)
    return notDone(`"${bytes}" is no size: give one such as 1M after the address.`);
  let shown: Hva | undefined;
  let backing: MemoryBacking | undefined;
  for (const word of more) {
    if (isFlag(word)) continue;
    if (isBacking(word)) {
      if (backing !== undefined && backing !== word)
        return notDone(`A slot has one backing: choose ${backing} or ${word}.`);
      backing = word;
    } else if (word.startsWith("hva:")) {
      const number = Number(word.slice(4));
      if (!Number.isSafeInteger(number)) return notDone(`"${word}" is no address of the host.`);
      shown = hva(number);
    } else
      return notDone(
        `"${word}" is no flag and no backing: choose ${[...FLAG_NAMES, ...MEMORY_BACKINGS].join(", ")}.`,
      );
  }
  const taken = new Set(scope.machine.vm?.slots.map(({ id }) => id));
  let id = 0;
  while (taken.has(id)) id++;
  const request = {
    gpa: address,
    size,
    flags: more.filter(isFlag),
    ...(backing ? { backing } : {}),
  };
  return told(slots.create(id, request, shown), () => whereIs(id, scope));
}

const isFlag = (word: string): word is FlagName => FLAG_NAMES.some((name) => name === word);
const isBacking = (word: string): word is MemoryBacking =>
  MEMORY_BACKINGS.some((name) => name === word);

function withSlot(
  { machine }: Scope,
  [id = "", ...words]: readonly string[],
  act: (slot: MemorySlot, words: readonly string[]) => HostAnswer,
): HostAnswer {
  const slot = machine.vm?.slots.find((each) => String(each.id) === id);
  return slot ? act(slot, words) : notDone(`There is no slot "${id}": slots() lists them.`);
}

/** The number of a guest physical address, with or without its prefix; or why it is none. */
function physical(text: string, scope: Scope): number | string {
  if (text === "") return "A guest physical address is missing: give one, gpa:0x4000000 say.";
  const answer = evaluate(text, scope);
  if (!answer.ok) return oneLine(answer.problem);
  const { value } = answer;
  const number = numberOf(value);
  if (number === undefined || (value.kind === "address" && !/^g[pv]a$/.test(value.space)))
    return `${text} is no guest physical address: give one, gpa:0x4000000 say.`;
  return Number(number);
}

function told(outcome: SlotOutcome, sentence: () => string): HostAnswer {
  if (outcome.kind === "refused") return refusedBy(outcome.text);
  return done([sentence(), ...(outcome.advice ? [outcome.advice] : [])].map(asSentence).join(" "));
}

function whereIs(id: number, { machine }: Scope): string {
  const slot = machine.vm?.slots.find((each) => each.id === id);
  if (!slot) throw new Error(`slot ${id} has just been made`);
  const flags = flagsOf(slot);
  return `Slot ${id} is at ${rangeOf(slot)}, hva 0x${slot.userspaceAddr.toString(16)}${flags.length > 0 ? `, ${flags.join(", ")}` : ""}`;
}

function rangeOf({ baseGfn, npages }: MemorySlot): string {
  const first = baseGfn * PAGE_SIZE;
  return `gpa 0x${first.toString(16)}–0x${(first + npages * PAGE_SIZE - 1).toString(16)}`;
}
