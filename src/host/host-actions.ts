import { type Hva, hva, PAGE_SIZE, type Trace } from "../x86";
import { FRAME } from "./frame-owners";
import type { HostFile } from "./host-file";
import { collapse, splitHuge, whyNotCollapsible } from "./huge-page";
import type { Mapping } from "./mapping";
import { migrate, swapOut } from "./page-moves";
import { poison, unpoison } from "./poison";
import type { HostProcess } from "./process";
import { ageEntry, isReclaimable } from "./reclaim";
import { at, type Refused, refused } from "./refusal";
import { findTwin, mergeInto } from "./same-page";
import { truncateFile } from "./truncate";
import { discardRange, protectRange, whyNotCuttable } from "./unmap";

/** `note`: what was found, as a sentence, for actions that find something out. */
export type HostActionOutcome = { readonly kind: "done"; readonly note?: string } | Refused;

const DONE: HostActionOutcome = { kind: "done" };

/** The page an action is done to. */
interface Target {
  readonly host: HostProcess;
  readonly mapping: Mapping;
  /** Of the page itself. */
  readonly index: number;
  /** Of the page table entry it is in. */
  readonly entry: number;
  /** How a sentence names it. */
  readonly where: string;
  readonly page: { readonly start: Hva; readonly end: Hva };
}

interface ActionRow {
  /** Imperative, for menus. */
  readonly title: string;
  /** What it does, for help. */
  readonly about: string;
  /** What has become of the page, for the answer; actions that find something out say that instead. */
  readonly did?: string;
  /** What the page must be for it. */
  readonly needs?: "resident" | "reclaimable" | "file";
  perform(target: Target): HostActionOutcome;
}

/** What the host may do to a page of the process behind the guest's back. */
export type HostAction =
  | "swap-out"
  | "migrate"
  | "merge"
  | "collapse"
  | "split"
  | "age"
  | "reclaim"
  | "discard"
  | "read-only"
  | "writable"
  | "poison"
  | "unpoison"
  | "truncate"
  | "lose-file"
  | "find-file";

export const HOST_ACTIONS: Readonly<Record<HostAction, ActionRow>> = {
  "swap-out": {
    title: "Swap Out",
    about: "sends the page to the swap device, or back to its file",
    did: "was swapped out",
    needs: "reclaimable",
    perform: ({ host, mapping, entry }) => {
      swapOut(host.space, mapping, entry);
      return DONE;
    },
  },
  migrate: {
    title: "Migrate",
    about: "moves the page to another host frame",
    did: "is in another host frame now",
    needs: "resident",
    perform: ({ host, mapping, entry, where }) => {
      if (mapping.backing.kind === "device")
        return refused(`${where} is memory of a device, which cannot move: choose another page`);
      if (migrate(host.space, mapping, entry)) return DONE;
      const frames = mapping.level(entry) > 1 ? "run of frames" : "frame";
      return refused(`no free host ${frames} to move ${where} to: swap another page out first`);
    },
  },
  merge: {
    title: "Merge",
    about: "lets the page share the frame of another with the same bytes (KSM)",
    did: "shares a frame with another page now",
    needs: "resident",
    perform: ({ host: { space }, mapping, index, where }) => {
      if (mapping.backing.kind !== "anonymous")
        return refused(
          `${where} is not anonymous memory, which alone is merged: choose another page`,
        );
      const frame = mapping.frame(index);
      if (frame !== undefined && space.owners.isFlagged(frame, FRAME.merged))
        return refused(`${where} is merged already: write to it to break the sharing`);
      const twin = findTwin(space, mapping, index);
      if (twin === undefined)
        return refused(`no other page has the bytes of ${where}: give another page the same bytes`);
      if (mapping.level(index) > 1) splitHuge(space, mapping, mapping.entry(index));
      if (mergeInto(space, mapping, index, twin)) return DONE;
      return refused(`the bytes of ${where}, or of the page like it, changed meanwhile: try again`);
    },
  },
  collapse: {
    title: "Collapse",
    about: "makes the 2 MiB around the page one huge page (khugepaged)",
    did: "is in a huge page of 2 MiB now",
    perform: ({ host, mapping, index, where }) => {
      const why = whyNotCollapsible(host.space, mapping, index);
      if (why) return refused(`${where} cannot be collapsed into a huge page: ${why}`);
      return collapse(host.space, mapping, index)
        ? DONE
        : refused(`the host has no free run of 2 MiB for ${where}: swap pages out first`);
    },
  },
  split: {
    title: "Split",
    about: "turns the huge page into 4 KiB pages",
    did: "is in a page of 4 KiB now",
    needs: "resident",
    perform: ({ host, mapping, entry, where }) => {
      if (mapping.level(entry) === 1)
        return refused(`${where} is not in a huge page: collapse one first`);
      if (mapping.backing.kind !== "anonymous")
        return refused(
          `${where} is in a huge page of a ${mapping.backing.kind} mapping, which is never split: use backing thp`,
        );
      splitHuge(host.space, mapping, entry);
      return DONE;
    },
  },
  age: {
    title: "Age",
    about: "asks whether the page was used, and forgets that it was",
    needs: "resident",
    perform: ({ host, mapping, entry, where }) => ({
      kind: "done",
      note: ageEntry(host.space, mapping, entry)
        ? `${where} was used since it was last aged`
        : `${where} was not used since it was last aged`,
    }),
  },
  reclaim: {
    title: "Reclaim",
    about: "swaps the page out if it was not used since it was last aged",
    needs: "reclaimable",
    perform: ({ host, mapping, entry, where }) => {
      if (ageEntry(host.space, mapping, entry))
        return { kind: "done", note: `${where} was used lately, so it stays this time` };
      swapOut(host.space, mapping, entry);
      return { kind: "done", note: `${where} was not used lately, so it was swapped out` };
    },
  },
  discard: {
    title: "Discard",
    about: "lets go of the page: the next use brings zeros or the file (MADV_DONTNEED)",
    did: "is let go: the next use brings zeros or the file",
    perform: ({ host, mapping, page, where }) => {
      if (mapping.backing.kind === "device")
        return refused(`${where} is memory of a device, which cannot be discarded: unmap it`);
      return cutting(host, page, () => discardRange(host.space, page));
    },
  },
  "read-only": {
    title: "Make Read-Only",
    about: "takes write permission from the page (mprotect)",
    did: "can only be read now",
    perform: ({ host, mapping, page, where }) =>
      mapping.backing.writable
        ? cutting(host, page, () => protectRange(host.space, page, false))
        : refused(`${where} is read-only already: make it writable first`),
  },
  writable: {
    title: "Make Writable",
    about: "gives the page write permission (mprotect)",
    did: "can be written now",
    perform: ({ host, mapping, page, where }) =>
      mapping.backing.writable
        ? refused(`${where} is writable already: make it read-only first`)
        : cutting(host, page, () => protectRange(host.space, page, true)),
  },
  poison: {
    title: "Poison",
    about: "breaks the page's memory: whoever touches it fails (hwpoison)",
    did: "is broken now: whoever touches it fails",
    needs: "resident",
    perform: ({ host, mapping, index, where }) => {
      if (mapping.backing.kind === "device")
        return refused(
          `${where} is memory of a device, which is not poisoned: choose another page`,
        );
      poison(host.space, mapping, index);
      return DONE;
    },
  },
  unpoison: {
    title: "Unpoison",
    about: "takes an injected poisoning back",
    did: "is whole again",
    perform: ({ host, mapping, index, where }) => {
      if (!mapping.isPoisoned(index)) return refused(`${where} is not poisoned: poison it first`);
      unpoison(host.space, mapping, index);
      return DONE;
    },
  },
  truncate: {
    title: "Truncate File Here",
    about: "cuts the page's file just before it: touching it fails from now on",
    did: "is beyond the end of its file now",
    needs: "file",
    perform: (target) => {
      const { mapping, index, host } = target;
      if (mapping.backing.kind === "file")
        truncateFile(host.space, fileOf(target), mapping.backing.firstPage + index);
      return DONE;
    },
  },
  "lose-file": {
    title: "Lose File",
    about: "makes the page's file unreadable: only what is in memory can be used",
    did: "is of a file that cannot be read now",
    needs: "file",
    perform: (target) => {
      fileOf(target).lost = true;
      return DONE;
    },
  },
  "find-file": {
    title: "Find File",
    about: "makes a lost file readable again",
    did: "is of a file that can be read again",
    needs: "file",
    perform: (target) => {
      fileOf(target).lost = false;
      return DONE;
    },
  },
};

/** Carries out one action on the page at `address`: notifier start, the change, notifier end. */
export function performHostAction(
  host: HostProcess,
  trace: Trace,
  action: HostAction,
  address: Hva,
): HostActionOutcome {
  const mapping = host.mappingAt(address);
  if (!mapping) return refused(`${at(address)} is not mapped: choose an address inside a memslot`);
  const index = mapping.indexOf(address);
  const start = mapping.addressOf(index);
  const target: Target = {
    host,
    mapping,
    index,
    entry: mapping.entry(index),
    where: at(start),
    page: { start, end: hva(start + PAGE_SIZE) },
  };
  const why = whyNot(target, action);
  if (why) return why;
  trace.emit("host_action", { action, hva: start });
  return HOST_ACTIONS[action].perform(target);
}

function whyNot({ mapping, index, where }: Target, action: HostAction): Refused | undefined {
  const { needs } = HOST_ACTIONS[action];
  const { kind } = mapping.backing;
  if (needs === "file")
    return kind === "file"
      ? undefined
      : refused(`${where} is not of a file, so there is nothing to ${action}: use backing file`);
  if (needs === undefined) return undefined;
  if (mapping.frame(index) === undefined)
    return refused(
      `${where} is not resident, so there is nothing to ${action}: touch the page first`,
    );
  return needs === "reclaimable" && !isReclaimable(mapping, index)
    ? refused(`${where} is memory of kind ${kind}, which is never reclaimed: choose another page`)
    : undefined;
}

function cutting(host: HostProcess, page: Target["page"], change: () => void): HostActionOutcome {
  const why = whyNotCuttable(host.space, page);
  if (why) return refused(why);
  change();
  return DONE;
}

function fileOf({ host, mapping }: Target): HostFile {
  const { backing } = mapping;
  const file = backing.kind === "file" ? host.space.files.get(backing.file) : undefined;
  if (!file) throw new Error("a file mapping has lost its file object");
  return file;
}

/**
 * Was the page used since it was last asked? Asks the process's own mark and the notifiers, and clears
 * both, as reclaim does to choose its victims. `absent`: not resident.
 */
export function agePage(host: HostProcess, address: Hva): "young" | "old" | "absent" {
  const mapping = host.mappingAt(address);
  const index = mapping?.indexOf(address) ?? 0;
  if (mapping?.frame(index) === undefined) return "absent";
  return ageEntry(host.space, mapping, mapping.entry(index)) ? "young" : "old";
}
