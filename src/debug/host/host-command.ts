import type { HostControl } from "../../machine";
import { byteSize } from "../byte-size";
import type { Scope } from "../expression/scope";
import { type CommandRow, helpText } from "./command-row";
import {
  done,
  type HostAnswer,
  NO_HOST,
  notDone,
  offeredActions,
  performAction,
  refusedBy,
} from "./host-action";

/** A command about the host as a whole. */
interface HostVerb {
  readonly signature: string;
  readonly about: string;
  run(host: HostControl, argument: string): HostAnswer;
}

const counting =
  (what: string, take: (host: HostControl, pages: number) => number) =>
  (host: HostControl, argument: string): HostAnswer => {
    const pages = Number(argument);
    if (!Number.isSafeInteger(pages) || pages < 1)
      return notDone(`"${argument}" is no number of pages: give one above 0.`);
    return done(`${take(host, pages)} of ${pages} ${what}.`);
  };

const VERBS: Readonly<Record<string, HostVerb>> = {
  memory: {
    signature: "host memory",
    about: "where the host's memory is",
    run: (host) => done(memoryText(host)),
  },
  free: {
    signature: "host free <pages>",
    about: "makes the host swap out so many pages, those not used lately",
    run: counting("pages went", (host, pages) => host.reclaim(pages)),
  },
  shrink: {
    signature: "host shrink <pages>",
    about: "makes the host ask the shadow MMU for so many of its pages",
    run: counting("shadow pages went", (host, pages) => host.shrink(pages)),
  },
  limit: {
    signature: "host limit <size>|none",
    about: "gives the host so much memory: beyond it pages are swapped out",
    run(host, argument) {
      const bytes = argument === "none" ? undefined : byteSize(argument);
      if (argument !== "none" && bytes === undefined)
        return notDone(`"${argument}" is no size: give one such as 16M, or none.`);
      const refusal = host.limit(bytes);
      return refusal
        ? refusedBy(refusal.text)
        : done(bytes === undefined ? "The host has no limit." : `The host has ${argument}.`);
    },
  },
};

/** What the console can make the host do. */
export const hostRows = (): readonly CommandRow[] => [
  ...Object.values(VERBS),
  ...offeredActions().map(({ action, about }) => ({
    signature: `host ${action} <address>`,
    about,
  })),
];

/** The console's commands about the host; `undefined` when the text is none. */
export function hostCommand(text: string, scope: Scope): HostAnswer | undefined {
  const words = /^host\s+(\S+)\s*(.*)$/s.exec(text.trim());
  if (!words) return undefined;
  const [, verb = "", argument = ""] = words;
  if (verb === "help") return done(helpText(hostRows()));
  const { host } = scope.machine;
  if (!host) return notDone(NO_HOST);
  const known = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
  if (known) return known.run(host, argument);
  return argument === "" && offeredActions().some(({ action }) => action === verb)
    ? notDone(`"host ${verb}" needs an address: give one after it, gpa:0x3000 say.`)
    : performAction(verb, argument, scope);
}

function memoryText(host: HostControl): string {
  const report = host.report();
  return [
    `${report.used} pages in use${report.limit === undefined ? "" : ` of ${report.limit}`}, ${report.pinned} pinned`,
    `${report.resident} resident (${report.huge2m} in 2M pages, ${report.huge1g} in 1G pages)`,
    `${report.merged} merged, ${report.swapped} swapped, ${report.cached} in the page cache, ${report.poisoned} poisoned`,
  ].join("\n");
}
