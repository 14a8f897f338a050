import type { TraceEvent } from "../x86";
import { type Fields, hex, KVM_FORMS, KVMMMU_FORMS } from "./event-forms";

/** Events that kernels have no tracepoint for, in their style, with what each means. */
export const PENUMBRA_EVENTS: Readonly<Record<string, string>> = {
  spte_drop: "an spte became empty, with the reason",
  gpte_write: "the guest stored to a table that is shadowed and write-protected",
  spte_update: "a present spte changed and keeps its frame",
  rmap_add: "a leaf joined the reverse map of its gfn",
  rmap_remove: "a leaf left the reverse map of its gfn",
  parent_add: "an spte now points at a shadow page",
  parent_remove: "an spte no longer points at a shadow page",
  unsync_count: "unsync_children of a shadow page changed",
  lpage_count: "the count that forbids a large page changed",
  track_count: "the write-track count of a gfn changed",
  root_load: "a vCPU built its root",
  root_cache: "a vCPU's root was put aside for a quick return",
  root_free: "a vCPU let go of a root",
  generation: "the slots generation changed",
  tlb_fill: "the processor may keep a translation that its walk has found",
  tlb_flush: "translations were dropped from TLBs",
  retry: "a fault must simply be tried again, with the reason",
  dirty_mark: "a frame was entered in the dirty log",
  request_made: "a vCPU was asked to do something before its next entry",
  request_served: "a vCPU did what it was asked",
  point: "a named place where another actor may come between",
};

/** Every event that the hypervisor announces. */
export const EVENT_NAMES: readonly string[] = [
  ...Object.keys(KVMMMU_FORMS),
  ...Object.keys(KVM_FORMS),
  ...Object.keys(PENUMBRA_EVENTS),
];

/** The event as its tracepoint prints it, without the name; others as `key value` pairs. */
export function formatEvent(event: TraceEvent): string {
  const form = KVMMMU_FORMS[event.name] ?? KVM_FORMS[event.name];
  return form ? form(event.fields).trimEnd() : plainText(event.fields);
}

const plainText = (fields: Fields): string =>
  Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} ${hex(value)}`)
    .join(" ");
