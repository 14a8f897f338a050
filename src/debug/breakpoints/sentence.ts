import { formatEvent } from "../../kvm";
import type { Machine } from "../../machine";
import { type FieldValue, gva, type TraceEvent } from "../../x86";
import { walkGuest } from "../inspect/guest-walk";

type Fields = Readonly<Record<string, FieldValue>>;

const hex = (value: FieldValue): string =>
  typeof value === "number" || typeof value === "bigint"
    ? `0x${value.toString(16)}`
    : String(value);

/** Mnemonics of exceptions (SDM 3A table 6-1). */
export const MNEMONICS: Readonly<Record<number, string>> = {
  0: "#DE divide error",
  1: "#DB debug",
  3: "#BP breakpoint",
  4: "#OF overflow",
  5: "#BR bound range",
  6: "#UD invalid opcode",
  7: "#NM no coprocessor",
  8: "#DF double fault",
  10: "#TS invalid TSS",
  11: "#NP segment not present",
  12: "#SS stack fault",
  13: "#GP general protection",
  14: "#PF page fault",
  16: "#MF x87 error",
  17: "#AC alignment check",
  18: "#MC machine check",
  19: "#XM SIMD error",
};

/** What happened, as one sentence for the person: the text of a stop. */
export function describeEvent(machine: Machine, event: TraceEvent): string {
  const sentence = SENTENCES[event.name];
  if (sentence) return sentence(event.fields, machine, event);
  return `${event.name} ${formatEvent(event)}`.trim();
}

const SENTENCES: Readonly<
  Record<string, (fields: Fields, machine: Machine, event: TraceEvent) => string>
> = {
  exception: (f, machine, event) =>
    f.vector === 14 ? pageFault(f, machine, event) : exception(f, event),
  triple_fault: () => "Triple fault: a fault while delivering a double fault",
  invlpg: (f) => `INVLPG of gva ${hex(f.gva)}, not yet done`,
  cr_write: (f) => `CR${f.cr} is about to change from ${hex(f.old)} to ${hex(f.value)}`,
  kvm_page_fault: (f) =>
    `Shadow fault: ${accessWords(Number(f.error_code))} gva ${hex(f.address)} (error ${hex(f.error_code)})`,
  kvm_mmu_set_spte: (f) => `Spte set for gfn ${hex(f.gfn)} at level ${f.level}: now ${hex(f.spte)}`,
  spte_update: (f) => `Spte at hpa ${hex(f.sptep)} changed from ${hex(f.old)} to ${hex(f.new)}`,
  spte_drop: (f) =>
    `Spte dropped for gfn ${hex(f.gfn)} at level ${f.level}: ${f.reason} (was ${hex(f.old)})`,
  kvm_mmu_sync_page: (f) => `Shadow page of gfn ${hex(f.gfn)} synced`,
  kvm_mmu_unsync_page: (f) =>
    `Shadow page of gfn ${hex(f.gfn)} is unsync: its guest table became writable`,
  gpte_write: (f) => `The guest wrote ${f.bytes} bytes to its shadowed table at gpa ${hex(f.gpa)}`,
  kvm_mmio: (f) => `MMIO ${f.kind} of ${f.len} bytes at gpa ${hex(f.gpa)}`,
  kvm_exit: (f) => `VM exit ${f.reason} at rip ${hex(f.rip)}`,
  generation: (f) => `Memslots changed: generation ${hex(f.before)} → ${hex(f.after)}`,
};

function exception(f: Fields, { stamp }: TraceEvent): string {
  const name = MNEMONICS[Number(f.vector)] ?? `vector ${f.vector}`;
  const error = f.error === undefined ? "" : ` (error ${hex(f.error)})`;
  return `${name} at rip ${hex(stamp.rip)}${error}`;
}

/** "Page fault: user write to gva 0x7000, not present at level 1 (error 0x6)" */
function pageFault(f: Fields, machine: Machine, { stamp }: TraceEvent): string {
  const error = Number(f.error ?? 0);
  const address = gva(BigInt(f.cr2 === undefined ? 0 : (f.cr2 as bigint)));
  const { outcome } = walkGuest(machine, stamp.vcpu, address, error & 0x16);
  const why =
    outcome.kind === "fault"
      ? (outcome.text.split(":", 1)[0] ?? "").replace(
          /^(?:user|supervisor) (?:read|write|execution) /,
          "",
        )
      : "although its tables allow it now";
  return `Page fault: ${accessWords(error)} gva ${hex(address)}, ${why} (error ${hex(error)})`;
}

function accessWords(error: number): string {
  const who = error & 4 ? "user" : "supervisor";
  if (error & 0x10) return `${who} execution of`;
  return error & 2 ? `${who} write to` : `${who} read of`;
}
