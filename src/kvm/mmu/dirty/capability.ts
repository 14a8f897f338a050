import { type Refusal, refuse } from "../../refusal";
import type { MmuState } from "../state";
import { MANUAL_PROTECT } from "./log-mode";
import { MAX_RING_ENTRIES, RING_ENTRY_BYTES, reservedEntries } from "./ring";

/** KVM_ENABLE_CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2): may be changed at any time, also back to 0. */
export function setManualProtect(state: MmuState, flags: number): Refusal | undefined {
  const unknown = notInEra(state, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", "5.1");
  if (unknown) return unknown;
  const { enable, initiallySet } = MANUAL_PROTECT;
  const allowed = flags & enable ? enable | initiallySet : enable;
  if (flags & ~allowed)
    return refuse(
      "EINVAL",
      `dirty log protect flags ${flags}: 1 makes protection manual, 3 also has every page dirty at first; nothing else is known`,
    );
  state.dirtyLogMode.manualProtect = flags;
  return undefined;
}

function notInEra({ profile }: MmuState, cap: string, since: string): Refusal | undefined {
  return profile.era === "modern"
    ? undefined
    : refuse("EINVAL", `${cap} came with ${since}: choose the modern era, this is ${profile.era}`);
}

/** KVM_ENABLE_CAP(KVM_CAP_DIRTY_LOG_RING): once, before the first vCPU, for good, in place of the bitmaps. */
export function enableDirtyRing(state: MmuState, bytes: number): Refusal | undefined {
  const unknown = notInEra(state, "KVM_CAP_DIRTY_LOG_RING", "5.11");
  if (unknown) return unknown;
  const said = `a dirty ring of ${bytes} bytes`;
  if (!Number.isInteger(Math.log2(bytes)))
    return refuse("EINVAL", `${said}: the size must be a power of two`);
  const entries = bytes / RING_ENTRY_BYTES;
  const least = Math.max(4096, RING_ENTRY_BYTES * reservedEntries(state.pml));
  if (bytes < least) return refuse("EINVAL", `${said} is too small: ${least} is the least`);
  if (entries > MAX_RING_ENTRIES)
    return refuse(
      "E2BIG",
      `${said} is too large: ${MAX_RING_ENTRIES * RING_ENTRY_BYTES} is the most`,
    );
  if (state.dirtyLogMode.ringEntries > 0)
    return refuse("EINVAL", "the VM has dirty rings already: their size is fixed");
  if (state.contexts.length > 0)
    return refuse("EINVAL", "the VM has vCPUs already: ask for dirty rings before the first");
  state.dirtyLogMode.ringEntries = entries;
  return undefined;
}
