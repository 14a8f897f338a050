import { gpa, type Hva, hva, PAGE_SIZE } from "../x86";
import { type RegionOutcome, setInternalRegion } from "./memory-region";
import { USER_SLOTS } from "./memslots";
import type { MmuState } from "./mmu/state";
import { type Refusal, refuse } from "./refusal";

/** TSS_PRIVATE_MEMSLOT: the first of the ids that a caller cannot use. */
const TSS_SLOT = USER_SLOTS;
/** A TSS with its I/O bitmap and the interrupt redirection map of virtual-8086 mode. */
const TSS_PAGES = 3;
const LIMIT = 2 ** 32;
/** Where the identity map is when nobody says otherwise, or says 0. */
export const DEFAULT_IDENTITY_MAP = 0xfffbc000;

/**
 * KVM_SET_TSS_ADDR (api.rst): three pages below 4 GB that KVM keeps for itself, for processors that run
 * real mode as virtual-8086 mode. The memory behind them is KVM's own mapping in the process.
 */
export function setTssAddr(state: MmuState, address: number): RegionOutcome {
  const size = TSS_PAGES * PAGE_SIZE;
  const wrong = wrongPlace("the TSS", address, size);
  if (wrong) return wrong;
  if (state.slotSets[0]!.byId(TSS_SLOT))
    return refuse("EEXIST", "the TSS has its three pages already: they can be placed once");
  const userspaceAddr = freeRange(state, size);
  const outcome = setInternalRegion(state, {
    slot: TSS_SLOT,
    flags: 0,
    guestPhysAddr: gpa(address),
    memorySize: size,
    userspaceAddr,
  });
  if (outcome.kind === "done")
    state.hostProcess.mmap(userspaceAddr, size, { kind: "anonymous", writable: true });
  return outcome;
}

/**
 * KVM_SET_IDENTITY_MAP_ADDR: where the page is that maps real mode one to one under EPT without
 * unrestricted guests. Before the first vCPU only. The address, or why not.
 */
export function identityMapAddr(address: number, vcpus: number): number | Refusal {
  if (vcpus > 0)
    return refuse(
      "EINVAL",
      "the identity map is placed before the first vCPU is made: ask earlier",
    );
  return wrongPlace("the identity map", address, PAGE_SIZE) ?? (address || DEFAULT_IDENTITY_MAP);
}

function wrongPlace(what: string, address: number, size: number): Refusal | undefined {
  const hex = `0x${address.toString(16)}`;
  if (address % PAGE_SIZE !== 0)
    return refuse("EINVAL", `${what} at ${hex} is not at a page: choose a multiple of 0x1000`);
  if (address < 0 || address + size > LIMIT)
    return refuse(
      "EINVAL",
      `${what} at ${hex} does not lie below 4 GB: choose 0x${(LIMIT - size).toString(16)} or less`,
    );
  return undefined;
}

/** Below everything that is mapped, as the kernel places mappings nobody gave an address for. */
function freeRange(state: MmuState, size: number): Hva {
  const [lowest] = state.hostProcess.mappings;
  return hva((lowest?.start ?? LIMIT) - size);
}
