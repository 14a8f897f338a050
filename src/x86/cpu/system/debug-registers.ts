import { CR4, S } from "../layout";
import type { CpuState } from "../state";
import type { SysResult, SystemContext } from "./context";
import { faulted, refused, undefinedHere } from "./fault-result";
import { VECTOR } from "./vectors";

/** DR6: B0…B3, BD, BS, BT can be written; the rest is fixed (SDM 3B 17.2.3). */
const DR6_WRITABLE = 0xe00fn;
export const DR6_FIXED = 0xffff0ff0n;
/** Cause bit of a refused debug-register access. */
const BD = 1 << 13;
/** DR7: bit 10 is fixed 1; bits 11, 12, 14 and 15 are 0 (no RTM; SDM 3B 17.2.4). */
const DR7_WRITABLE = 0xffff23ffn;
export const DR7_FIXED = 0x400n;
const DR7_GD = 1n << 13n;

const slot = (index: number): number => S.dr + 8 * index;
/** DR4 and DR5 are other names of DR6 and DR7, unless CR4.DE forbids them. */
const canonicalIndex = (index: number): number => (index === 4 || index === 5 ? index + 2 : index);

/** The checks both directions share: #UD, privilege, general detect, in this order. */
function refusal(state: CpuState, index: number): SysResult {
  if ((index === 4 || index === 5) && state.hasCr4(CR4.DE)) return undefinedHere;
  if (state.cpl !== 0) return refused;
  if (state.u64(slot(7)) & DR7_GD) return faulted({ vector: VECTOR.DB, dr6: BD });
  return undefined;
}

/** MOV r, DRn: the value, or why not. */
export function readDebug(
  { state }: SystemContext,
  index: number,
): { readonly value: bigint } | { readonly refused: SysResult } {
  const no = refusal(state, index);
  return no ? { refused: no } : { value: state.u64(slot(canonicalIndex(index))) };
}

/** MOV DRn, r. The engine looks at DR7 again through `stateChanged`. */
export function writeDebug(ctx: SystemContext, index: number, value: bigint): SysResult {
  const { state } = ctx;
  const no = refusal(state, index);
  if (no) return no;
  const register = canonicalIndex(index);
  if (register >= 6 && value >> 32n) return refused;
  const stored =
    register === 6
      ? (value & DR6_WRITABLE) | DR6_FIXED
      : register === 7
        ? (value & DR7_WRITABLE) | DR7_FIXED
        : value;
  state.setU64(slot(register), stored);
  ctx.stateChanged();
  return undefined;
}
