import { CR0, FLAG, S, SEG, SEG_BYTES, SEG_FIELD } from "./layout";
import type { CpuState } from "./state";

/**
 * What decoded code depends on besides its bytes. Two states with the same mode share blocks; the number
 * is the `modeKey` of the struct.
 */
export interface Mode {
  readonly id: number;
  readonly bits: 16 | 32 | 64;
  /** Implicit and plain memory operands need no segment base, limit or type check. */
  readonly flat: boolean;
  readonly user: boolean;
  readonly csBase: bigint;
  readonly csLimit: number;
}

/** Mode numbers share a word with the vCPU and a generation (`S.jumpKey`). */
export const MODE_BITS = 12;

const TYPE_BITS = 0x1a;
/** S and W set, not code: writable data. */
const WRITABLE_DATA = 0x12;

const attrAt = (segment: number): number => S.seg + SEG_BYTES * segment + SEG_FIELD.attr;

function isWholeSpace(state: CpuState, segment: number): boolean {
  const at = S.seg + SEG_BYTES * segment;
  return (
    state.u64(at + SEG_FIELD.base) === 0n &&
    state.u32(at + SEG_FIELD.lo) === 0 &&
    state.u32(at + SEG_FIELD.hi) === 0xffff_ffff
  );
}

function isFlat(state: CpuState): boolean {
  if (!isWholeSpace(state, SEG.cs)) return false;
  return [SEG.es, SEG.ss, SEG.ds].every(
    (segment) =>
      isWholeSpace(state, segment) && (state.u32(attrAt(segment)) & TYPE_BITS) === WRITABLE_DATA,
  );
}

const BIG = 1 << 14;

/** Modes met so far, numbered in the order of their appearance. */
export class Modes {
  private readonly byText = new Map<string, Mode>();
  private readonly byId: Mode[] = [];
  private longUser: Mode | undefined;
  private longKernel: Mode | undefined;

  of(state: CpuState): Mode {
    const user = state.cpl === 3;
    if (state.code64) return this.long(user);
    const bits = state.u32(attrAt(SEG.cs)) & BIG ? 32 : 16;
    const stack32 = (state.u32(attrAt(SEG.ss)) & BIG) !== 0;
    const { base: csBase, hi: csLimit } = state.segment(SEG.cs);
    const flat = bits === 32 && stack32 && isFlat(state);
    return this.intern({ bits, flat, user, csBase, csLimit });
  }

  /** The two modes of 64-bit code, which every system call and fault switches between. */
  private long(user: boolean): Mode {
    const known = user ? this.longUser : this.longKernel;
    if (known) return known;
    const added = this.intern({ bits: 64, flat: true, user, csBase: 0n, csLimit: 0 });
    if (user) this.longUser = added;
    else this.longKernel = added;
    return added;
  }

  private intern(mode: Omit<Mode, "id">): Mode {
    const text = `${mode.bits} ${mode.flat} ${mode.user} ${mode.csBase} ${mode.csLimit}`;
    const known = this.byText.get(text);
    if (known) return known;
    if (this.byId.length === 1 << MODE_BITS)
      throw new Error(`more than ${1 << MODE_BITS} processor modes in one run`);
    const added = { ...mode, id: this.byId.length };
    this.byText.set(text, added);
    this.byId.push(added);
    return added;
  }

  /** Time to start again between two runs: one run hardly meets as many once more. */
  get crowded(): boolean {
    return this.byId.length > 1 << (MODE_BITS - 1);
  }
  clear(): void {
    this.byText.clear();
    this.longUser = undefined;
    this.longKernel = undefined;
    this.byId.length = 0;
  }
}

const MASK_64 = 0xffff_ffff_ffff_ffffn;
const ALWAYS_POPPED = FLAG.TF | FLAG.DF | FLAG.NT | FLAG.AC | FLAG.ID;

/** RFLAGS bits that POPF may change (SDM 2B POPF); 0 when PUSHF and POPF are #GP. */
function popfMask(state: CpuState): bigint {
  const flags = state.u64(S.rflags);
  const iopl = Number((flags & FLAG.IOPL) >> 12n);
  const protectedMode = (state.cr0 & CR0.PE) !== 0n;
  if (protectedMode && flags & FLAG.VM) return iopl === 3 ? ALWAYS_POPPED | FLAG.IF : 0n;
  const { cpl } = state;
  return (
    ALWAYS_POPPED | (cpl === 0 ? FLAG.IOPL : 0n) | (cpl <= iopl || !protectedMode ? FLAG.IF : 0n)
  );
}

/** Writes the fields of the struct that follow from registers and mode. */
export function deriveFields(state: CpuState, mode: Mode): void {
  const stackBig = (state.u32(attrAt(SEG.ss)) & BIG) !== 0;
  state.setU32(S.modeKey, mode.id);
  state.setU64(S.addressMask, mode.bits === 64 ? MASK_64 : 0xffff_ffffn);
  state.setU64(S.stackMask, mode.bits === 64 ? MASK_64 : stackBig ? 0xffff_ffffn : 0xffffn);
  state.setU32(S.code64, mode.bits === 64 ? 1 : 0);
  state.setU64(S.popfMask, popfMask(state));
}
