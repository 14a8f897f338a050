import { guestRoot, type Machine, passiveTables } from "../../machine";
import { type CpuState, CR4, FLAG, type Gpa, type Gva, S, walkAccess, walkRules } from "../../x86";
import { type TableWalk, walkTables } from "./table-walk";

/**
 * Walks the guest's tables for one access of a vCPU: `access` has the W, U and F bits of an error
 * code. `root` is another address space than the current one. Sets no A or D bit and fills no TLB.
 */
export function walkGuest(
  machine: Machine,
  vcpu: number,
  address: Gva,
  access = 0,
  root?: Gpa,
): TableWalk {
  const state = stateOf(machine, vcpu);
  const ac = (state.rflags & FLAG.AC) !== 0n;
  return walkTables(
    undefined,
    walkRules(state, machine.pagingFeatures, Number(state.u64(S.pkru))),
    root ?? guestRoot(state),
    address,
    walkAccess(access, ac),
    passiveTables(machine.gpa),
  );
}

/** What the tables say of an address, whoever may use it: SMAP and protection keys do not count. */
export function leafOf(machine: Machine, vcpu: number, address: Gva, root?: Gpa): TableWalk {
  const state = stateOf(machine, vcpu);
  const { cr0, efer } = state;
  const cr4 = state.cr4 & ~(CR4.SMAP | CR4.PKE);
  return walkTables(
    undefined,
    walkRules({ cr0, cr4, efer }, machine.pagingFeatures),
    root ?? guestRoot(state),
    address,
    0,
    passiveTables(machine.gpa),
  );
}

function stateOf(machine: Machine, vcpu: number): CpuState {
  const view = machine.vcpus[vcpu];
  if (!view) throw new Error(`there is no vCPU ${vcpu}`);
  return view.state;
}
