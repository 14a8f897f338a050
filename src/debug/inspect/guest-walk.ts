import { type ByteSpace, guestRoot, type Machine } from "../../machine";
import {
  type CpuState,
  CR4,
  FLAG,
  type Gpa,
  type Gva,
  type PassivePort,
  type Physical,
  S,
  walkAccess,
  walkRules,
} from "../../x86";
import { type TableWalk, walkTables } from "./table-walk";

/** Tables in a space of bytes, for a walk that changes nothing. */
export function passiveTables<A extends Physical>(space: ByteSpace<A>): PassivePort<A> {
  return {
    load: (at, bytes, entry) => {
      const read = space.read(at, bytes);
      if (read.length < bytes) return false;
      const view = new DataView(read.buffer, read.byteOffset, read.byteLength);
      entry.lo = view.getUint32(0, true);
      entry.hi = bytes === 8 ? view.getUint32(4, true) : 0;
      return true;
    },
  };
}

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
    "gpte",
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
    "gpte",
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
