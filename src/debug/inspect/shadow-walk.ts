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
  const rules = kvm.mmu.mode.hardwareRules;
  let at = address;
  let use = walkAccess(access, false);
  if (kvm.mmu.tdp) {
    const guest = leafOf(machine, vcpu, address);
    if (guest.outcome.kind === "fault") return guest;
    at = gva(BigInt(guest.outcome.to));
    use = useOf(rules, access);
  }
  const tables = passiveTables(machine.hpa);
  return walkTables(kvm.vm.state.format, rules, kvm.hardwareRoot, at, use, tables);
}

/** An access in the second dimension: under EPT U stands for a read, under NPT all is done by the user. */
function useOf({ format }: WalkRules, access: number): number {
  const kind = access & (PFEC.write | PFEC.fetch);
  return format.ept && kind !== 0 ? kind : kind | PFEC.user;
}
