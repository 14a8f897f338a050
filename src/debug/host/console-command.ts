import type { Completion } from "../expression/completion";
import { completions as complete } from "../expression/completion";
import { evaluate } from "../expression/evaluate";
import type { Scope } from "../expression/scope";
import { type CommandRow, helpText } from "./command-row";
import { done, type HostAnswer } from "./host-action";
import { hostCommand, hostRows } from "./host-command";
import { logCommand, logRows } from "./log-command";
import { slotCommand, slotRows } from "./slot-command";

/** Commands that begin with the same word. */
interface Family {
  readonly about: string;
  rows(): readonly CommandRow[];
  run(text: string, scope: Scope): HostAnswer | undefined;
}

const FAMILIES: Readonly<Record<string, Family>> = {
  host: { about: "what the host does behind the guest's back", rows: hostRows, run: hostCommand },
  log: { about: "dirty logs of memslots", rows: logRows, run: logCommand },
  slot: { about: "making and changing memslots", rows: slotRows, run: slotCommand },
};

/** Does what a line of the console orders; `undefined` when it is no command but an expression. */
export function consoleCommand(text: string, scope: Scope): HostAnswer | undefined {
  for (const { run } of Object.values(FAMILIES)) {
    const answer = run(text, scope);
    if (answer) return answer;
  }
  const word = text.trim();
  const alone = Object.hasOwn(FAMILIES, word) ? FAMILIES[word] : undefined;
  // A variable of the guest may have the same name.
  return alone && !evaluate(word, scope).ok ? done(helpText(alone.rows())) : undefined;
}

/** What may stand at `column` (from 0) of a line of the console: a command's words, or an expression. */
export function consoleCompletions(
  source: string,
  column: number,
  scope: Scope,
): readonly Completion[] {
  const before = source.slice(0, column);
  const word = /\S*$/.exec(before)?.[0] ?? "";
  const words = before
    .slice(0, before.length - word.length)
    .trim()
    .split(/\s+/)
    .filter(Boolean);
  const make = (label: string, detail: string, kind: Completion["kind"] = "command") => ({
    label,
    text: label,
    detail,
    kind,
    start: column - word.length,
    length: word.length,
  });
  const fits = ({ label }: Completion): boolean => label.startsWith(word);
  const [first, verb, ...given] = words;
  const family =
    first !== undefined && Object.hasOwn(FAMILIES, first) ? FAMILIES[first] : undefined;
  if (first === undefined) {
    const families = Object.entries(FAMILIES).map(([name, { about }]) => make(name, about));
    return [...families.filter(fits), ...complete(source, column, scope)];
  }
  if (!family) return complete(source, column, scope);
  const rows = family.rows().map((row) => ({ row, words: row.signature.split(" ") }));
  if (verb === undefined) {
    const verbs = rows.map(({ row, words: [, name = ""] }) => make(name, row.about));
    return [...verbs, make("help", "lists these commands")].filter(fits);
  }
  const places = rows.find(({ words: [, name] }) => name === verb)?.words.slice(2) ?? [];
  // The last place may be filled more than once: flags of a slot.
  const place =
    places[given.length] ?? (places.at(-1)?.startsWith("[") ? places.at(-1) : undefined);
  const values = place?.replace(/[[\]]/g, "").split("|") ?? [];
  return values.flatMap((value): readonly Completion[] => {
    switch (value) {
      case "<slot>":
        return slotIds(scope)
          .map(([id, about]) => make(id, about, "slot"))
          .filter(fits);
      case "<address>":
      case "<gpa>":
        return complete(source, column, scope);
      default:
        return /[<…]/.test(value) ? [] : [make(value, verb)].filter(fits);
    }
  });
}

const slotIds = ({ machine }: Scope): readonly (readonly [string, string])[] =>
  (machine.vm?.slots ?? []).map(({ id, baseGfn, npages }) => [
    String(id),
    `gpa 0x${(baseGfn * 4096).toString(16)}, ${npages} pages`,
  ]);
