import type { Machine } from "../../machine";
import { type FieldValue, hpa, type TraceEvent } from "../../x86";
import type { EventFilter } from "./catalogue";

/** The fields of an event under the names that conditions use, with those that can be derived. */
export function conditionFields(
  machine: Machine,
  event: TraceEvent,
): Readonly<Record<string, FieldValue>> {
  const { fields, stamp, name } = event;
  const all: Record<string, FieldValue> = { ...stamp, event: name, ...fields };
  if (name === "kvm_page_fault") {
    all.gva = fields.address;
    all.error = fields.error_code;
  }
  if (name === "kvm_mmu_set_spte") all.new = fields.spte;
  if (all.gfn === undefined && typeof fields.sptep === "number")
    Object.assign(all, ofEntry(machine, fields.sptep));
  if (all.gpa === undefined && typeof all.gfn === "number") all.gpa = all.gfn * 4096;
  return all;
}

/** gfn and level of an spte, from the shadow page it lies in. */
function ofEntry(machine: Machine, sptep: number): Readonly<Record<string, FieldValue>> {
  const page = machine.vm?.findPage(hpa(sptep));
  if (!page) return {};
  const index = (sptep - page.spt) / 8;
  return { gfn: page.gfnAt(index), level: page.level, index };
}

/** Whether the event is of this kind. A filter field may name several values: `0|4`. */
export function isOf(filter: EventFilter, event: TraceEvent): boolean {
  return (
    filter.events.includes(event.name) &&
    Object.entries(filter.only ?? {}).every(([name, wanted]) =>
      String(wanted).split("|").includes(String(event.fields[name])),
    )
  );
}
