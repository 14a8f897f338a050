import { CR0, type CR4, EFER, FLAG, S, SEG, SEG_BYTES, SEG_FIELD, type SegIndex } from "./layout";

/** As numbers, for the getters that every event asks: bigints would be made only to be thrown away. */
const PE = Number(CR0.PE);
const VM = Number(FLAG.VM);
const LMA = Number(EFER.LMA);
const BIT = {
  CF: Number(FLAG.CF),
  PF: Number(FLAG.PF),
  AF: Number(FLAG.AF),
  ZF: Number(FLAG.ZF),
  SF: Number(FLAG.SF),
  OF: Number(FLAG.OF),
} as const;
const ARITHMETIC = BIT.CF | BIT.PF | BIT.AF | BIT.ZF | BIT.SF | BIT.OF;

/** The hidden part of a segment register, as values. */
export interface Segment {
  readonly selector: number;
  readonly base: bigint;
  readonly lo: number;
  readonly hi: number;
  readonly attr: number;
  readonly unusable: boolean;
}

/**
 * One vCPU's struct, read and written field by field. It holds no state of its own: `base` 0 is the
 * running vCPU, any other address a parked one; the engine keeps `base` right, so the object may be held. Registers are unsigned 64-bit bigints.
 */
export class CpuState {
  readonly view: DataView;

  constructor(
    memory: WebAssembly.Memory,
    /** Moves when the engine makes the vCPU the running one or parks it. */
    public base: number,
  ) {
    this.view = new DataView(memory.buffer);
  }

  u64(offset: number): bigint {
    return this.view.getBigUint64(this.base + offset, true);
  }
  setU64(offset: number, value: bigint): void {
    this.view.setBigUint64(this.base + offset, value, true);
  }
  u32(offset: number): number {
    return this.view.getUint32(this.base + offset, true);
  }
  setU32(offset: number, value: number): void {
    this.view.setUint32(this.base + offset, value, true);
  }

  gpr(index: number): bigint {
    return this.u64(S.gpr + 8 * index);
  }
  setGpr(index: number, value: bigint): void {
    this.setU64(S.gpr + 8 * index, value);
  }

  get rip(): bigint {
    return this.u64(S.rip);
  }
  set rip(value: bigint) {
    this.setU64(S.rip, value);
  }
  get cr0(): bigint {
    return this.u64(S.cr0);
  }
  set cr0(value: bigint) {
    this.setU64(S.cr0, value);
  }
  get cr2(): bigint {
    return this.u64(S.cr2);
  }
  set cr2(value: bigint) {
    this.setU64(S.cr2, value);
  }
  get cr3(): bigint {
    return this.u64(S.cr3);
  }
  set cr3(value: bigint) {
    this.setU64(S.cr3, value);
  }
  get cr4(): bigint {
    return this.u64(S.cr4);
  }
  set cr4(value: bigint) {
    this.setU64(S.cr4, value);
  }
  get efer(): bigint {
    return this.u64(S.efer);
  }
  set efer(value: bigint) {
    this.setU64(S.efer, value);
  }

  selector(index: SegIndex): number {
    const at = S.seg + SEG_BYTES * index + SEG_FIELD.sel;
    return this.view.getUint16(this.base + at, true);
  }
  segment(index: SegIndex): Segment {
    const at = S.seg + SEG_BYTES * index;
    return {
      selector: this.view.getUint16(this.base + at + SEG_FIELD.sel, true),
      base: this.u64(at + SEG_FIELD.base),
      lo: this.u32(at + SEG_FIELD.lo),
      hi: this.u32(at + SEG_FIELD.hi),
      attr: this.u32(at + SEG_FIELD.attr),
      unusable: (this.view.getUint16(this.base + at + SEG_FIELD.flags, true) & 1) !== 0,
    };
  }
  setSegment(index: SegIndex, segment: Segment): void {
    const at = S.seg + SEG_BYTES * index;
    this.view.setUint16(this.base + at + SEG_FIELD.sel, segment.selector, true);
    this.setU64(at + SEG_FIELD.base, segment.base);
    this.setU32(at + SEG_FIELD.lo, segment.lo);
    this.setU32(at + SEG_FIELD.hi, segment.hi);
    this.setU32(at + SEG_FIELD.attr, segment.attr);
    this.view.setUint16(this.base + at + SEG_FIELD.flags, segment.unusable ? 1 : 0, true);
  }

  /** RFLAGS with the lazily kept arithmetic bits worked out (layout: `lfRes`, `lfCv`). */
  get rflags(): bigint {
    return BigInt(this.flags);
  }
  /** Any combination may be stored, also ones no result has (ZF with SF, ZF without PF). */
  set rflags(value: bigint) {
    this.flags = Number(value);
  }

  /** RFLAGS as a number: no bit from 22 up exists. */
  get flags(): number {
    const low = this.u32(S.lfRes);
    const high = this.u32(S.lfRes + 4);
    const cv = this.u32(S.lfCv);
    const carries = this.u32(S.lfCv + 4) >>> 30;
    let flags = this.u32(S.rflags) | 2;
    if (carries & 2) flags |= BIT.CF;
    if (carries === 1 || carries === 2) flags |= BIT.OF;
    if (cv & 8) flags |= BIT.AF;
    if ((low | high) === 0) flags |= BIT.ZF;
    if (high >>> 31 || cv & 4) flags |= BIT.SF;
    if (evenParity(low & 0xff) && !(cv & 2)) flags |= BIT.PF;
    return flags;
  }
  set flags(value: number) {
    const carry = (value & BIT.CF) !== 0;
    const overflow = (value & BIT.OF) !== 0;
    // With ZF the result is 0 and bits 1 and 2 of cv say what 0 cannot; without it the sign and a
    // nonzero low byte of the right parity say it all.
    let low = 0;
    let high = 0;
    let cv = value & BIT.AF ? 8 : 0;
    if (value & BIT.ZF) cv |= (value & BIT.PF ? 0 : 2) | (value & BIT.SF ? 4 : 0);
    else {
      low = value & BIT.PF ? 3 : 1;
      high = value & BIT.SF ? 0x8000_0000 : 0;
    }
    this.setU32(S.lfRes, low);
    this.setU32(S.lfRes + 4, high);
    this.setU32(S.lfCv, cv);
    this.setU32(S.lfCv + 4, ((carry ? 2 : 0) | (carry === overflow ? 0 : 1)) << 30);
    this.setU32(S.rflags, (value & ~ARITHMETIC) | 2);
    this.setU32(S.rflags + 4, 0);
  }

  /** Current privilege level: SS.DPL, 0 in real mode, 3 in virtual-8086 mode (SDM 3A 5.5). */
  get cpl(): number {
    if ((this.u32(S.cr0) & PE) === 0) return 0;
    if (this.u32(S.rflags) & VM) return 3;
    return (this.u32(S.seg + SEG_BYTES * SEG.ss + SEG_FIELD.attr) >> 5) & 3;
  }

  get longMode(): boolean {
    return (this.u32(S.efer) & LMA) !== 0;
  }
  get paging(): boolean {
    return (this.cr0 & CR0.PG) !== 0n;
  }
  /** 64-bit code: LMA and CS.L. */
  get code64(): boolean {
    const attr = this.u32(S.seg + SEG_BYTES * SEG.cs + SEG_FIELD.attr);
    return this.longMode && ((attr >> 13) & 1) === 1;
  }
  /** True when SMEP/SMAP/… bit is set. */
  hasCr4(bit: (typeof CR4)[keyof typeof CR4]): boolean {
    return (this.cr4 & bit) !== 0n;
  }
}

function evenParity(byte: number): boolean {
  let folded = byte ^ (byte >> 4);
  folded ^= folded >> 2;
  folded ^= folded >> 1;
  return (folded & 1) === 0;
}
