// The events a person can stop on, as a table: filters, function breakpoints and texts all come from it.

/** A kind of event, as an exception filter and as the first word of an event breakpoint. */
export interface EventFilter {
  readonly id: string;
  readonly label: string;
  readonly description: string;
  /** Names of the trace events it listens to. */
  readonly events: readonly string[];
  /** Fields an event must have, to be of this kind: `exception` with vector 14 is a page fault. */
  readonly only?: Readonly<Record<string, number | string | boolean>>;
  /** Fields a condition may use besides the common ones (`vcpu`, `tick`, `rip`). */
  readonly fields: readonly string[];
  /** Field with the address that a target of the breakpoint is compared with, and the space it is in. */
  readonly target?: { readonly field: string; readonly space: "gva" | "gpa" };
  /** An intent stops before anything happened; a change stops after it. */
  readonly when: "intent" | "change";
  readonly defaultOn: boolean;
  readonly exampleCondition: string;
}

const ENGINE = ["gva", "gpa", "gfn", "level", "spte", "role"] as const;

export const FILTERS: readonly EventFilter[] = [
  {
    id: "pf",
    label: "Page faults (#PF)",
    description: "The guest's own page faults, before they are delivered",
    events: ["exception"],
    only: { vector: 14 },
    fields: ["error", "cr2"],
    target: { field: "cr2", space: "gva" },
    when: "intent",
    defaultOn: false,
    exampleCondition: "cr2 >= 0x400000 && error.w",
  },
  {
    id: "gp",
    label: "General protection faults (#GP)",
    description: "Before they are delivered to the guest",
    events: ["exception"],
    only: { vector: 13 },
    fields: ["error"],
    when: "intent",
    defaultOn: false,
    exampleCondition: "error != 0",
  },
  {
    id: "df",
    label: "Double faults (#DF)",
    description: "A fault while delivering a fault",
    events: ["exception"],
    only: { vector: 8 },
    fields: ["error"],
    when: "intent",
    defaultOn: true,
    exampleCondition: "rip >= 0x400000",
  },
  {
    id: "triple",
    label: "Triple faults",
    description:
      "A fault while delivering a double fault, or in older eras a CR3 outside the memslots: the processor gives up",
    events: ["triple_fault"],
    fields: [],
    when: "change",
    defaultOn: true,
    exampleCondition: "vcpu == 0",
  },
  {
    id: "invlpg",
    label: "INVLPG",
    description: "The guest asks for a translation to be forgotten; stops before it is",
    events: ["invlpg"],
    fields: ["gva"],
    target: { field: "gva", space: "gva" },
    when: "intent",
    defaultOn: false,
    exampleCondition: "gva == 0x7000",
  },
  {
    id: "cr3",
    label: "CR3 loads",
    description: "Switches of address space, before the new root is used",
    events: ["cr_write"],
    only: { cr: 3 },
    fields: ["value", "old"],
    when: "intent",
    defaultOn: false,
    exampleCondition: "value == 0x4000",
  },
  {
    id: "cr0cr4",
    label: "CR0 and CR4 writes",
    description: "Changes of the paging mode and of what it protects",
    events: ["cr_write"],
    only: { cr: "0|4" },
    fields: ["cr", "value", "old"],
    when: "intent",
    defaultOn: false,
    exampleCondition: "(value ^ old) & 0x10000",
  },
  {
    id: "shadow-fault",
    label: "Shadow faults",
    description:
      "Faults the hypervisor takes, under EPT and NPT its violations; stops once it has dealt with them",
    events: ["kvm_page_fault"],
    fields: ["gva", "error"],
    target: { field: "gva", space: "gva" },
    when: "change",
    defaultOn: false,
    exampleCondition: "error.w && !error.p",
  },
  {
    id: "spte-set",
    label: "Spte set",
    description: "An entry of the hypervisor was made or changed",
    events: ["spte_update", "kvm_mmu_set_spte"],
    fields: [...ENGINE, "old", "new"],
    target: { field: "gpa", space: "gpa" },
    when: "change",
    defaultOn: false,
    exampleCondition: "gfn == 0x3 && level == 1",
  },
  {
    id: "spte-zap",
    label: "Spte zapped",
    description: "An entry of the hypervisor was dropped; `reason` says why",
    events: ["spte_drop"],
    fields: [...ENGINE, "old", "reason"],
    target: { field: "gpa", space: "gpa" },
    when: "change",
    defaultOn: false,
    exampleCondition: 'reason == "memslot"',
  },
  {
    id: "sync",
    label: "Shadow page synced",
    description:
      "An unsync page was compared with its guest table and write-protected again; never under EPT and NPT",
    events: ["kvm_mmu_sync_page"],
    fields: ["gfn", "role", "level"],
    when: "change",
    defaultOn: false,
    exampleCondition: "gfn == 0x3",
  },
  {
    id: "unsync",
    label: "Shadow page unsynced",
    description: "A guest table became writable while it is shadowed; never under EPT and NPT",
    events: ["kvm_mmu_unsync_page"],
    fields: ["gfn", "role", "level"],
    when: "change",
    defaultOn: false,
    exampleCondition: "gfn == 0x3",
  },
  {
    id: "gpte-write",
    label: "Guest table writes",
    description:
      "The guest wrote to a page table that is shadowed and write-protected; never under EPT and NPT",
    events: ["gpte_write"],
    fields: ["gpa", "bytes", "index"],
    target: { field: "gpa", space: "gpa" },
    when: "change",
    defaultOn: false,
    exampleCondition: "gpa == 0x3000",
  },
  {
    id: "mmio",
    label: "MMIO",
    description: "Accesses that reach a device instead of memory",
    events: ["kvm_mmio"],
    fields: ["gpa", "kind", "len", "val"],
    target: { field: "gpa", space: "gpa" },
    when: "change",
    defaultOn: false,
    exampleCondition: "gpa == 0xfee00300",
  },
  {
    id: "vmexit",
    label: "VM exits",
    description: "Each time the guest leaves to the hypervisor",
    events: ["kvm_exit"],
    fields: ["reason", "info1", "info2"],
    when: "change",
    defaultOn: false,
    exampleCondition: "vcpu == 1",
  },
  {
    id: "memslot",
    label: "Memslot changes",
    description: "A slot was made, changed or deleted",
    events: ["generation"],
    only: { in_progress: false },
    fields: ["as_id", "before", "after"],
    when: "change",
    defaultOn: false,
    exampleCondition: "as_id == 0",
  },
];

/** Words of the breakpoint grammar that stand for several filters, or for one with another name. */
export const EVENT_ALIASES: Readonly<Record<string, readonly string[]>> = {
  spte: ["spte-set", "spte-zap"],
  gpte: ["gpte-write"],
};

export const filterNamed = (id: string): EventFilter | undefined =>
  FILTERS.find((filter) => filter.id === id);
