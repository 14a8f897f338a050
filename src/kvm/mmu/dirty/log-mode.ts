/** Arguments of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 (api.rst 7.25). */
export const MANUAL_PROTECT = {
  /** KVM_GET_DIRTY_LOG only copies; KVM_CLEAR_DIRTY_LOG clears and protects. */
  enable: 1,
  /** A slot that begins to log counts as dirty all over, and nothing is protected until it is cleared. */
  initiallySet: 2,
} as const;

/** What a VM has been told about dirty logging. */
export class DirtyLogMode {
  /** `manual_dirty_log_protect`: `MANUAL_PROTECT` bits. */
  manualProtect = 0;

  /** Size of each vCPU's dirty ring; 0 = slots have bitmaps. */
  ringEntries = 0;

  get usesRing(): boolean {
    return this.ringEntries > 0;
  }
  get manual(): boolean {
    return this.manualProtect !== 0;
  }
  /** Slots that begin to log are all dirty (KVM_DIRTY_LOG_INITIALLY_SET): in a bitmap, which rings have not. */
  get initiallySet(): boolean {
    return !this.usesRing && (this.manualProtect & MANUAL_PROTECT.initiallySet) !== 0;
  }
}
