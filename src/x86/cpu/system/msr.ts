import { EFER_INDEX, S, SEG, SEG_BYTES, SEG_FIELD } from "../layout";
import { isCanonicalBase } from "./attempt";
import type { SysResult, SystemContext } from "./context";
import { writeEfer } from "./control-registers";
import { refused } from "./fault-result";
import { field, type MsrRow } from "./msr-row";
import { isPatValue, MTRRS } from "./mtrr";
import { readTsc, writeTsc, writeTscAdjust } from "./timestamp";

const isAddress = (value: bigint, ctx: SystemContext): boolean => isCanonicalBase(ctx, value);

const low32 = (value: bigint): bigint => BigInt.asUintN(32, value);
const baseOf = (index: number): number => S.seg + SEG_BYTES * index + SEG_FIELD.base;

/** SYSENTER_ESP and _EIP: 64 bits and canonical on Intel, 32 bits on AMD (APM 2 6.1.2). */
const sysenterAddress = (offset: number): MsrRow =>
  field(offset, {
    feature: "sep",
    legal: (value, ctx) => ctx.model.vendor === "amd" || isAddress(value, ctx),
    keep: (value, ctx) => (ctx.model.vendor === "amd" ? low32(value) : value),
  });

const long = { feature: "lm", legal: isAddress } as const;

/** Reads as 0 and takes only 0: a machine-check architecture with no banks (SDM 3B 15.3.1). */
const zero: MsrRow = {
  feature: "mca",
  read: () => 0n,
  write: (_, value) => (value === 0n ? undefined : refused),
};

/** The registers that are the processor's own (SDM 4 table 2-2, APM 2 appendix A). */
const ROWS: ReadonlyMap<number, MsrRow> = new Map<number, MsrRow>([
  [
    0x10,
    {
      feature: "tsc",
      read: readTsc,
      write(ctx, value) {
        writeTsc(ctx, value);
        return undefined;
      },
    },
  ],
  [
    0x3b,
    {
      feature: "tscAdjust",
      read: ({ state }) => state.u64(S.tscAdjust),
      write(ctx, value) {
        writeTscAdjust(ctx, value);
        return undefined;
      },
    },
  ],
  // Microcode revision: none loaded. Software clears it before asking with CPUID.
  [0x8b, { read: () => 0n, write: () => undefined }],
  [0x174, field(S.sysenterCs, { feature: "sep", keep: low32 })],
  [0x175, sysenterAddress(S.sysenterEsp)],
  [0x176, sysenterAddress(S.sysenterEip)],
  [0x179, { feature: "mca", read: () => 0n }],
  [0x17a, zero],
  [0x1a0, field(S.miscEnable)],
  // LBR and BTF.
  [0x1d9, field(S.debugCtl, { legal: (value) => (value & ~3n) === 0n })],
  [0x277, field(S.pat, { feature: "pat", legal: isPatValue })],
  ...MTRRS,
  [EFER_INDEX, { read: ({ state }) => state.efer, write: writeEfer }],
  [0xc0000081, field(S.star, { feature: "syscall" })],
  [0xc0000082, field(S.lstar, long)],
  [0xc0000083, field(S.cstar, long)],
  [0xc0000084, field(S.sfmask, { feature: "lm", keep: low32 })],
  [0xc0000100, field(baseOf(SEG.fs), long)],
  [0xc0000101, field(baseOf(SEG.gs), long)],
  [0xc0000102, field(S.kernelGsBase, long)],
  [0xc0000103, field(S.tscAux, { feature: "rdtscp", legal: (value) => value >> 32n === 0n })],
]);

function rowOf({ model }: SystemContext, index: number): MsrRow | undefined {
  const row = ROWS.get(index);
  if (!row?.feature) return row;
  return model.features.has(row.feature) ? row : undefined;
}

/** RDMSR after its privilege check; `undefined` is #GP. What is not the processor's own is the board's. */
export function readMsr(ctx: SystemContext, index: number): bigint | undefined {
  if (!ROWS.has(index)) return ctx.board.readMsr(index);
  const value = rowOf(ctx, index)?.read(ctx);
  ctx.board.ownMsrAccessed?.(false, index, value ?? 0n, value === undefined);
  return value;
}

/** WRMSR after its privilege check. */
export function writeMsr(ctx: SystemContext, index: number, value: bigint): SysResult {
  if (!ROWS.has(index)) return ctx.board.writeMsr(index, value) ? undefined : refused;
  const row = rowOf(ctx, index);
  const result = row?.write ? row.write(ctx, value) : refused;
  const failed = result?.kind === "fault";
  if (failed || (!result && index !== EFER_INDEX))
    ctx.board.ownMsrAccessed?.(true, index, value, failed);
  return result;
}
