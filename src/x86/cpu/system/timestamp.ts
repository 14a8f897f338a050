import { S } from "../layout";
import type { SystemContext } from "./context";

/** The time-stamp counter: the machine's virtual time, plus what software added. */
export function readTsc({ state, board }: SystemContext): bigint {
  return BigInt.asUintN(64, board.time() + state.u64(S.tscOffset));
}

/** WRMSR TSC moves the counter, and IA32_TSC_ADJUST by as much (SDM 3B 17.17.3). */
export function writeTsc(ctx: SystemContext, value: bigint): void {
  moveTsc(ctx, value - readTsc(ctx));
}

/** WRMSR IA32_TSC_ADJUST moves the counter by the difference. */
export function writeTscAdjust(ctx: SystemContext, value: bigint): void {
  moveTsc(ctx, value - ctx.state.u64(S.tscAdjust));
}

function moveTsc({ state }: SystemContext, by: bigint): void {
  for (const field of [S.tscOffset, S.tscAdjust]) {
    state.setU64(field, BigInt.asUintN(64, state.u64(field) + by));
  }
}
