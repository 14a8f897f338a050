import { type Hva, hva, PAGE_SIZE, type Pfn, type Trace } from "../x86";
import { MARK, type Mapping } from "./mapping";
import type { HvaRange } from "./notifiers";
import type { HostProcess, Refused } from "./process";

/** What the host may do to a page of the process behind the guest's back. */
export type HostAction = "swap-out" | "migrate" | "merge" | "collapse" | "split";

export type HostActionOutcome = { readonly kind: "done" } | Refused;

const refused = (reason: string): Refused => ({ kind: "refused", reason });
const at = (address: Hva): string => `hva 0x${address.toString(16)}`;

/** Actions whose mechanism (KSM, THP) is not there yet. */
const UNBUILT: Readonly<Partial<Record<HostAction, string>>> = {
  merge: "same-page merging",
  collapse: "collapsing into a huge page",
  split: "splitting a huge page",
};

/** Carries out one action on the page at `address`: notifier start, the change, notifier end. */
export function performHostAction(
  host: HostProcess,
  trace: Trace,
  action: HostAction,
  address: Hva,
): HostActionOutcome {
  const unbuilt = UNBUILT[action];
  if (unbuilt)
    return refused(
      `${at(address)}: ${unbuilt} is not available in this version; use swap-out or migrate`,
    );
  const mapping = host.mappingAt(address);
  if (!mapping) return refused(`${at(address)} is not mapped: choose an address inside a memslot`);
  const index = mapping.indexOf(address);
  const frame = mapping.frame(index);
  if (frame === undefined)
    return refused(
      `${at(address)} is not resident, so there is nothing to ${action}: touch the page first`,
    );
  return action === "swap-out"
    ? swapOut(host, trace, mapping, index, frame)
    : migrate(host, trace, mapping, index, frame);
}

/**
 * Was the page used since it was last asked? Asks the process's own mark and the notifiers, and clears
 * both, as reclaim does to choose its victims. `absent`: not resident.
 */
export function agePage(host: HostProcess, address: Hva): "young" | "old" | "absent" {
  const mapping = host.mappingAt(address);
  const index = mapping?.indexOf(address) ?? 0;
  if (mapping?.frame(index) === undefined) return "absent";
  const own = mapping.isMarked(index, MARK.accessed);
  mapping.clear(index, MARK.accessed);
  const others = host.notifiers.clearFlushYoung(pageRange(mapping, index));
  return own || others ? "young" : "old";
}

function swapOut(
  host: HostProcess,
  trace: Trace,
  mapping: Mapping,
  index: number,
  frame: Pfn,
): HostActionOutcome {
  const range = pageRange(mapping, index);
  host.notifiers.around(range, () => {
    host.evict(mapping, index);
    trace.emit("host_swap_out", { hva: range.start, pfn: frame });
  });
  return { kind: "done" };
}

function migrate(
  host: HostProcess,
  trace: Trace,
  mapping: Mapping,
  index: number,
  old: Pfn,
): HostActionOutcome {
  const range = pageRange(mapping, index);
  const frame = host.memory.allocateSpare("guest");
  if (frame === undefined)
    return refused(`no free host frame to move ${at(range.start)} to: swap another page out first`);
  host.notifiers.around(range, () => {
    host.replace(mapping, index, frame);
    trace.emit("host_migrate", { hva: range.start, old, pfn: frame });
  });
  return { kind: "done" };
}

function pageRange(mapping: Mapping, index: number): HvaRange {
  const start = mapping.addressOf(index);
  return { start, end: hva(start + PAGE_SIZE) };
}
