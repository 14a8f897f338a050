/** Outcomes of a fault (RET_PF_*). RETRY, FIXED and SPURIOUS all resume the guest at the same instruction. */
export const RET = {
  continue: 0,
  retry: 1,
  emulate: 2,
  writeProtected: 3,
  invalid: 4,
  fixed: 5,
  spurious: 6,
} as const;
export type Ret = (typeof RET)[keyof typeof RET];
