import type { Hva, Trace } from "../x86";
import { entryRange } from "./address-space";
import { FRAME } from "./frame-owners";
import { collapse, splitHuge, whyNotCollapsible } from "./huge-page";
import { MARK, type Mapping } from "./mapping";
import { migrate, swapOut } from "./page-moves";
import type { HostProcess, Refused } from "./process";
import { findTwin, mergeInto } from "./same-page";

/** What the host may do to a page of the process behind the guest's back. */
export type HostAction = "swap-out" | "migrate" | "merge" | "collapse" | "split";

export type HostActionOutcome = { readonly kind: "done" } | Refused;

const DONE: HostActionOutcome = { kind: "done" };
const refused = (reason: string): Refused => ({ kind: "refused", reason });
const at = (address: Hva): string => `hva 0x${address.toString(16)}`;

/** Does it to the entry at `index` of the mapping, which is resident; or says why not. */
type PageAction = (host: HostProcess, mapping: Mapping, index: number) => HostActionOutcome;

const ACTIONS: Readonly<Record<Exclude<HostAction, "collapse">, PageAction>> = {
  "swap-out": ({ space }, mapping, index) => {
    swapOut(space, mapping, index);
    return DONE;
  },
  migrate: ({ space }, mapping, index) =>
    migrate(space, mapping, index)
      ? DONE
      : refused(
          `no free host ${mapping.level(index) > 1 ? "run of frames" : "frame"} to move ${at(mapping.addressOf(index))} to: swap another page out first`,
        ),
  merge: ({ space }, mapping, index) => {
    const where = at(mapping.addressOf(index));
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
    if (mapping.level(index) > 1) splitHuge(space, mapping, index);
    mergeInto(space, mapping, index, twin);
    return DONE;
  },
  split: ({ space }, mapping, index) => {
    if (mapping.level(index) === 1)
      return refused(`${at(mapping.addressOf(index))} is not in a huge page: collapse one first`);
    splitHuge(space, mapping, index);
    return DONE;
  },
};

/** Carries out one action on the page at `address`: notifier start, the change, notifier end. */
export function performHostAction(
  host: HostProcess,
  _trace: Trace,
  action: HostAction,
  address: Hva,
): HostActionOutcome {
  const mapping = host.mappingAt(address);
  if (!mapping) return refused(`${at(address)} is not mapped: choose an address inside a memslot`);
  const index = mapping.indexOf(address);
  if (action === "collapse") {
    const why = whyNotCollapsible(host.space, mapping, index);
    if (why) return refused(`${at(address)} cannot be collapsed into a huge page: ${why}`);
    return collapse(host.space, mapping, index)
      ? DONE
      : refused(`the host has no free run of 2 MiB for ${at(address)}: swap pages out first`);
  }
  if (mapping.frame(index) === undefined)
    return refused(
      `${at(address)} is not resident, so there is nothing to ${action}: touch the page first`,
    );
  return ACTIONS[action](host, mapping, mapping.entry(index));
}

/**
 * Was the page used since it was last asked? Asks the process's own mark and the notifiers, and clears
 * both, as reclaim does to choose its victims. `absent`: not resident.
 */
export function agePage(host: HostProcess, address: Hva): "young" | "old" | "absent" {
  const mapping = host.mappingAt(address);
  const index = mapping?.indexOf(address) ?? 0;
  if (mapping?.frame(index) === undefined) return "absent";
  const entry = mapping.entry(index);
  const own = mapping.isMarked(entry, MARK.accessed);
  mapping.clear(entry, MARK.accessed);
  const others = host.notifiers.clearFlushYoung(entryRange(mapping, entry));
  return own || others ? "young" : "old";
}
