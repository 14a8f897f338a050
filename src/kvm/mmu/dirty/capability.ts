import { type Refusal, refuse } from "../../refusal";
import type { MmuState } from "../state";
import { MANUAL_PROTECT } from "./log-mode";

/** KVM_ENABLE_CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2): may be changed at any time, also back to 0. */
export function setManualProtect(state: MmuState, flags: number): Refusal | undefined {
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
