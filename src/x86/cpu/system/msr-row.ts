import type { SysResult, SystemContext } from "./context";
import type { Feature } from "./cpu-model";
import { refused } from "./fault-result";

/** One model-specific register. Without `write` it is read-only. */
export interface MsrRow {
  /** Absent from processors without it: #GP. */
  readonly feature?: Feature;
  read(ctx: SystemContext): bigint;
  write?(ctx: SystemContext, value: bigint): SysResult;
}

/** A register that is 64 bits of the struct, with a rule for what may be written. */
export function field(
  offset: number,
  {
    feature,
    legal = () => true,
    keep = (value) => value,
  }: {
    readonly feature?: Feature;
    readonly legal?: (value: bigint, ctx: SystemContext) => boolean;
    /** What is stored of a legal value. */
    readonly keep?: (value: bigint, ctx: SystemContext) => bigint;
  } = {},
): MsrRow {
  return {
    ...(feature ? { feature } : {}),
    read: ({ state }) => state.u64(offset),
    write(ctx, value) {
      if (!legal(value, ctx)) return refused;
      ctx.state.setU64(offset, keep(value, ctx));
      return undefined;
    },
  };
}
