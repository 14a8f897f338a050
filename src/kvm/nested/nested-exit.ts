import { ACC, EPT_QUALIFICATION, NPF, PFEC } from "../../x86";
import type { MmuContext } from "../mmu/context";
import { invalidateAddress } from "../mmu/invlpg";
import type { MmuState } from "../mmu/state";
import { sameEp4ta } from "./ept-mode";
import {
  EXIT_EPT,
  EXIT_NPF,
  type NestedEptExit,
  type NestedExit,
  type NestedNpf,
  nestedPgd,
} from "./guest-mode";

const HIGH = 0x100000000;

/** L1's tables did not let through an address of L2's. */
export interface RefusedNgpa {
  readonly ngpa: bigint;
  /** Page-fault error code of the walk of L1's tables. */
  readonly error: number;
  /** `ACC` rights of all the entries on the way. */
  readonly rights: number;
  /** What the address was to L2: a bit of `NPF`, or 0 when no address of L2's led to it. */
  readonly place: number;
  /** Error code of the exit that told of it; absent where KVM has met it by itself. */
  readonly hardwareCode?: number;
}

/** `RefusedNgpa.place` of what the hardware reported. */
export const placeIn = (code: number): number => Math.floor(code / HIGH) * HIGH;

/** L1 is to be told that its tables refuse an access of L2's. */
export function reflect(state: MmuState, context: MmuContext, refused: RefusedNgpa): void {
  const paging = context.guestMode?.nestedPaging;
  if (!paging) throw new Error("a nested exit without nested paging");
  const exit = "eptp" in paging ? eptExit(refused) : npfExit(refused);
  context.nestedExit = exit;
  if (exit.kind === "ept") invalidateTwins(state, context, nestedPgd(paging), refused.ngpa);
  announce(state, context, refused, exit);
}

/** nested_svm_inject_npf_exit: the low half is what the walk of L1's tables has found. */
function npfExit({ ngpa, error, place }: RefusedNgpa): NestedNpf {
  return {
    kind: "npf",
    exitCode: EXIT_NPF,
    exitInfo1: place + error,
    exitInfo2: Number(ngpa),
  };
}

/** nested_ept_inject_page_fault. */
function eptExit({ ngpa, error, rights, place }: RefusedNgpa): NestedEptExit {
  const isMisconfigured = (error & PFEC.reserved) !== 0;
  const { linearAddress, final } = EPT_QUALIFICATION;
  const where = place === 0 ? 0 : linearAddress | (place >= NPF.guestTable ? 0 : final);
  return {
    kind: "ept",
    exitReason: isMisconfigured ? EXIT_EPT.misconfiguration : EXIT_EPT.violation,
    exitQualification: isMisconfigured ? 0 : asked(error) | granted(rights) | where,
    guestPhysicalAddress: Number(ngpa),
  };
}

/** Bits 2:0 of a qualification. */
const asked = (error: number): number =>
  (error & PFEC.user ? EPT_QUALIFICATION.read : 0) |
  (error & PFEC.write ? EPT_QUALIFICATION.write : 0) |
  (error & PFEC.fetch ? EPT_QUALIFICATION.fetch : 0);

/** Bits 5:3; in EPT U stands for readable. */
const granted = (rights: number): number =>
  (rights & ACC.user ? EPT_QUALIFICATION.readable : 0) |
  (rights & ACC.write ? EPT_QUALIFICATION.writable : 0) |
  (rights & ACC.exec ? EPT_QUALIFICATION.executable : 0);

/** A violation invalidates the ngpa in every context of the same table (nested_ept_invalidate_addr; SDM 3C 28.4.3.1). */
function invalidateTwins(state: MmuState, context: MmuContext, eptp: bigint, ngpa: bigint): void {
  for (const root of context.prevRoots)
    if (root.kind === "page" && sameEp4ta(root.pgd, eptp))
      invalidateAddress(state, context, ngpa, root);
}

function announce(
  state: MmuState,
  context: MmuContext,
  refused: RefusedNgpa,
  exit: NestedExit,
): void {
  const { trace } = state;
  const { id: vcpu } = context;
  if (trace.wants("kvm_nested_page_fault"))
    trace.emit("kvm_nested_page_fault", {
      vcpu,
      gpa: refused.ngpa,
      host_error_code: refused.hardwareCode ?? 0,
      guest_error_code: refused.error,
    });
  if (!trace.wants("kvm_nested_vmexit_inject")) return;
  const told =
    exit.kind === "npf"
      ? { reason: "npf", info1: exit.exitInfo1, info2: exit.exitInfo2 }
      : { reason: EPT_NAMES[exit.exitReason], info1: exit.exitQualification, info2: 0 };
  // What was being delivered to L2 is the instructions' affair.
  trace.emit("kvm_nested_vmexit_inject", { vcpu, ...told, int_info: 0, int_info_err: 0 });
}

const EPT_NAMES = { 48: "EPT_VIOLATION", 49: "EPT_MISCONFIG" } as const;
