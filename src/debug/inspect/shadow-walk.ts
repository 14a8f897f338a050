import { type Machine, passiveTables } from "../../machine";
import { type Gva, walkAccess } from "../../x86";
import { type TableWalk, walkTables } from "./table-walk";

/**
 * The walk that the processor itself makes under a hypervisor: over the shadow tables at the hardware
 * CR3. `undefined` without one, and before the first root is built.
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
  const { hardwareRoot } = kvm;
  return walkTables(
    kvm.vm.state.format,
    rules,
    hardwareRoot,
    address,
    walkAccess(access, false),
    passiveTables(machine.hpa),
  );
}
