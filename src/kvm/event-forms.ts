import type { FieldValue } from "../x86";
import { accessText, ROLE, roleAccess, roleLevel, roleQuadrant } from "./mmu/role";

/** Fields of an event, read by name. */
export type Fields = Readonly<Record<string, FieldValue>>;
export type Form = (fields: Fields) => string;

/** `%llx` */
export const hex = (value: FieldValue): string =>
  typeof value === "number" || typeof value === "bigint" ? value.toString(16) : String(value);
/** `0x%016llx` */
export const hex16 = (value: FieldValue): string => `0x${hex(value).padStart(16, "0")}`;

/** `0x%08x` */
const hex8 = (value: FieldValue): string => `0x${hex(value).padStart(8, "0")}`;

/** Names of the error-code bits that the kvmmmu events print. */
const PFERR = [
  [1, "P"],
  [2, "W"],
  [4, "U"],
  [8, "RSVD"],
  [16, "F"],
] as const;
const pferrText = (code: FieldValue): string =>
  PFERR.filter(([bit]) => Number(code) & bit)
    .map(([, name]) => name)
    .join("|");

/** The PAGE form: of kernels with generations, and of older ones. */
const pageText: Form = (f) => {
  const role = Number(f.role);
  const bits = role & ROLE.has4ByteGpte ? 4 : 8;
  return [
    f.gen === undefined
      ? `sp gfn ${hex(f.gfn)} ${roleLevel(role)}${role & (ROLE.has4ByteGpte | ROLE.direct) ? "" : " pae"}`
      : `sp gen ${hex(f.gen)} gfn ${hex(f.gfn)} l${roleLevel(role)} ${bits}-byte`,
    ` q${roleQuadrant(role)}`,
    role & ROLE.direct ? " direct" : "",
    ` ${accessText(roleAccess(role))}`,
    role & ROLE.invalid ? " invalid" : "",
    ` ${role & ROLE.eferNx ? "" : "!"}nxe`,
    f.gen === undefined ? "" : ` ${role & ROLE.adDisabled ? "!" : ""}ad`,
    ` root ${f.root_count} ${f.unsync ? "unsync" : "sync"}`,
  ].join("");
};

/** Print forms of the kvmmmu tracepoints, modern kernels. */
export const KVMMMU_FORMS: Readonly<Record<string, Form>> = {
  kvm_mmu_pagetable_walk: (f) => `addr ${hex(f.addr)} pferr ${hex(f.pferr)} ${pferrText(f.pferr)}`,
  kvm_mmu_paging_element: (f) => `pte ${hex(f.pte)} level ${f.level}`,
  kvm_mmu_set_accessed_bit: (f) => `gpa ${hex(f.gpa)}`,
  kvm_mmu_set_dirty_bit: (f) => `gpa ${hex(f.gpa)}`,
  kvm_mmu_walker_error: (f) => `pferr ${hex(f.pferr)} ${pferrText(f.pferr)}`,
  kvm_mmu_get_page: (f) => `${pageText(f)} ${f.created ? "new" : "existing"}`,
  kvm_mmu_sync_page: pageText,
  kvm_mmu_unsync_page: pageText,
  kvm_mmu_prepare_zap_page: pageText,
  mark_mmio_spte: (f) =>
    `sptep:${hex(f.sptep)} gfn ${hex(f.gfn)} access ${hex(f.access)} gen ${hex(f.gen)}`,
  handle_mmio_page_fault: (f) => `addr:${hex(f.addr)} gfn ${hex(f.gfn)} access ${hex(f.access)}`,
  fast_page_fault: (f) =>
    `vcpu ${f.vcpu} gva ${hex(f.gva)} error_code ${pferrText(f.error_code)} sptep ${hex(f.sptep)} old 0x${hex(f.old)} new ${hex(f.new)} spurious ${f.spurious ? 1 : 0} fixed ${f.fixed ? 1 : 0}`,
  kvm_mmu_zap_all_fast: (f) => `kvm-mmu-valid-gen ${f.gen} used_pages ${hex(f.used_pages)}`,
  check_mmio_spte: (f) =>
    `spte ${hex(f.spte)} kvm_gen ${hex(f.kvm_gen)} spte-gen ${hex(f.spte_gen)} valid ${f.valid ? 1 : 0}`,
  kvm_mmu_set_spte: (f) =>
    `gfn ${hex(f.gfn)} spte ${hex(f.spte)} (${f.access}) level ${f.level} at ${hex(f.sptep)}`,
  kvm_tdp_mmu_spte_changed: (f) =>
    `as id ${f.as_id} gfn ${hex(f.gfn)} level ${f.level} old_spte ${hex(f.old_spte)} new_spte ${hex(f.new_spte)}`,
  kvm_mmu_split_huge_page: (f) =>
    `gfn ${hex(f.gfn)} spte ${hex(f.spte)} level ${f.level} errno ${f.errno}`,
  kvm_mmu_spte_requested: (f) => `gfn ${hex(f.gfn)} pfn ${hex(f.pfn)} level ${f.level}`,
};

/** Print forms of the kvm tracepoints, of the MMU and of the exits to devices. */
export const KVM_FORMS: Readonly<Record<string, Form>> = {
  kvm_entry: (f) => `vcpu ${f.vcpu}, rip 0x${hex(f.rip)}`,
  kvm_exit: (f) =>
    `vcpu ${f.vcpu} reason ${f.reason} rip 0x${hex(f.rip)} info1 ${hex16(f.info1)} info2 ${hex16(f.info2)} intr_info 0x00000000 error_code 0x00000000`,
  kvm_page_fault: (f) =>
    f.rip === undefined
      ? `address ${hex(f.address)} error_code ${hex(f.error_code)}`
      : `vcpu ${f.vcpu} rip 0x${hex(f.rip)} address ${hex16(f.address)} error_code 0x${hex(f.error_code)}`,
  kvm_inj_exception: (f) => `${f.vector === 14 ? "#PF" : `#${f.vector}`} (0x${hex(f.error)})`,
  kvm_cr: (f) => `cr_${f.write ? "write" : "read"} ${hex(f.cr)} = 0x${hex(f.value)}`,
  kvm_inj_virq: (f) => `irq ${f.irq}`,
  kvm_msr: (f) =>
    `msr_${f.write ? "write" : "read"} ${hex(f.index)} = 0x${hex(f.value)}${f.exception ? " (#GP)" : ""}`,
  kvm_mmio: (f) => `mmio ${f.kind} len ${f.len} gpa 0x${hex(f.gpa)} val 0x${hex(f.val)}`,
  kvm_cpuid: (f) =>
    `func ${hex(f.function)} idx ${hex(f.index)} rax ${hex(f.rax)} rbx ${hex(f.rbx)} rcx ${hex(f.rcx)} rdx ${hex(f.rdx)}, cpuid entry ${f.found ? "found" : "not found"}${f.used_max_basic ? ", used max basic" : ""}`,
  kvm_emulate_insn: (f) => `${hex(f.csbase)}:${hex(f.rip)}: ${f.insn} (${f.mode})`,
  kvm_pio: (f) =>
    `pio_${f.write ? "write" : "read"} at 0x${hex(f.port)} size ${f.size} count ${f.count} val 0x${hex(f.val)}`,
  kvm_nested_page_fault: (f) =>
    `gpa 0x${hex(f.gpa)} host err 0x${hex(f.host_error_code)} guest err 0x${hex(f.guest_error_code)}`,
  kvm_nested_vmexit_inject: (f) =>
    `reason: ${f.reason} ext_inf1: ${hex16(f.info1)} ext_inf2: ${hex16(f.info2)} ext_int: ${hex8(f.int_info)} ext_int_err: ${hex8(f.int_info_err)}`,
  kvm_dirty_ring_push: (f) =>
    `ring ${f.index}: dirty 0x${hex(f.dirty_index)} reset 0x${hex(f.reset_index)} slot ${f.slot} offset 0x${hex(f.offset)} (used ${f.used})`,
  kvm_dirty_ring_reset: (f) =>
    `ring ${f.index}: dirty 0x${hex(f.dirty_index)} reset 0x${hex(f.reset_index)} (used ${f.used})`,
  kvm_dirty_ring_exit: (f) => `vcpu ${f.vcpu}`,
  kvm_unmap_hva_range: (f) => `mmu notifier unmap range: ${hex16(f.start)} -- ${hex16(f.end)}`,
  kvm_set_spte_hva: (f) => `mmu notifier set pte hva: ${hex16(f.hva)}`,
  kvm_age_hva: (f) => `mmu notifier age hva: ${hex16(f.start)} -- ${hex16(f.end)}`,
  kvm_test_age_hva: (f) => `mmu notifier test age hva: ${hex16(f.start)}`,
  kvm_age_page: (f) => `hva ${hex(f.hva)} gfn ${hex(f.gfn)} ${f.referenced ? "YOUNG" : "OLD"}`,
};
