import type { Vcpu } from "../../kvm";
import { type Machine, passiveTables } from "../../machine";
import { type Gva, gva, PFEC, type WalkRules, walkAccess } from "../../x86";
import { leafOf } from "./guest-walk";
import { type TableWalk, walkTables } from "./table-walk";

/**
 * The walk that the processor makes over the hypervisor's tables: from the address itself under shadow
 * paging, from the guest-physical one that the guest's tables give under EPT and NPT. There it is the
 * guest's walk that comes back when that fails. `undefined` without a hypervisor, and before the first
 * root is built.
 */
export function walkShadow(
  machine: Machine,
  vcpu: number,
  address: Gva,
  access = 0,
): TableWalk | undefined {
  const kvm = machine.vm?.vcpus[vcpu];
  if (!kvm || kvm.mmu.root.kind === "none") return undefined;
  if (!kvm.mmu.tdp) return walkFrom(machine, kvm, address, walkAccess(access, false));
  const guest = leafOf(machine, vcpu, address);
  if (guest.outcome.kind === "fault") return guest;
  return walkTdp(machine, vcpu, BigInt(guest.outcome.to), access);
}

/** The walk of a guest-physical address through the second dimension; `undefined` where there is none. */
export function walkTdp(
  machine: Machine,
  vcpu: number,
  address: bigint,
  access = 0,
): TableWalk | undefined {
  const kvm = machine.vm?.vcpus[vcpu];
  if (!kvm?.mmu.tdp || kvm.mmu.root.kind === "none") return undefined;
  return walkFrom(machine, kvm, gva(address), useOf(kvm.mmu.mode.hardwareRules, access));
}

function walkFrom(machine: Machine, kvm: Vcpu, at: Gva, use: number): TableWalk {
  const tables = passiveTables(machine.hpa);
  const { hardwareRules } = kvm.mmu.mode;
  const walk = walkTables(kvm.vm.state.format, hardwareRules, kvm.hardwareRoot, at, use, tables);
  return kvm.mmu.tdp ? { ...walk, from: "gpa" } : walk;
}

/** An access in the second dimension: under EPT U stands for a read, under NPT all is done by the user. */
function useOf({ format }: WalkRules, access: number): number {
  const kind = access & (PFEC.write | PFEC.fetch);
  return format.ept && kind !== 0 ? kind : kind | PFEC.user;
}
