import type { TimerQueue } from "../time";
import { APIC, type ApicMessage, DELIVERY, LVT_MASKED } from "./apic-message";
import { ApicTimer } from "./apic-timer";
import type { MmioDevice } from "./device";
import { VectorSet } from "./vector-set";

/** IA32_APIC_BASE (SDM 3A 11.4.4). */
export const APIC_BASE = { bsp: 1n << 8n, x2apic: 1n << 10n, enabled: 1n << 11n } as const;
const DEFAULT_BASE = 0xfee00000n;

const SVR_ENABLED = 0x100;
const ESR = { illegalSend: 1 << 5, illegalReceive: 1 << 6, illegalRegister: 1 << 7 } as const;
const VERSION = 0x50014;
const LVTS = [
  APIC.lvtTimer,
  APIC.lvtThermal,
  APIC.lvtCounter,
  APIC.lvtLint0,
  APIC.lvtLint1,
  APIC.lvtError,
];
/** Bits of each plain register that software may set. */
const WRITABLE: Readonly<Record<number, number>> = {
  [APIC.tpr]: 0xff,
  [APIC.ldr]: 0xff000000,
  [APIC.dfr]: 0xf0000000,
  [APIC.svr]: 0x1ff,
  [APIC.lvtTimer]: 0x700ff,
  [APIC.lvtThermal]: 0x107ff,
  [APIC.lvtCounter]: 0x107ff,
  [APIC.lvtLint0]: 0x1a7ff,
  [APIC.lvtLint1]: 0x1a7ff,
  [APIC.lvtError]: 0x100ff,
  [APIC.icrHigh]: 0xff000000,
  [APIC.divide]: 0x0b,
  [APIC.selfIpi]: 0xff,
};
/** Registers that x2APIC mode does not have (SDM 3A table 11-6). */
const XAPIC_ONLY: readonly number[] = [APIC.apr, APIC.dfr, APIC.icrHigh];
/** The x2APIC MSRs that exist but may only be read. */
const READ_ONLY_MSRS: readonly number[] = [
  APIC.id,
  APIC.version,
  APIC.ppr,
  APIC.ldr,
  APIC.currentCount,
];

/** What a local APIC is plugged into. */
export interface ApicWires {
  now(): number;
  /** What this vCPU's TSC has beyond virtual time. */
  tscOffset(): bigint;
  readonly timers: TimerQueue;
  /** Sends to the APICs of this set of ids, or by destination. */
  send(message: ApicMessage, shorthand: number, from: number): void;
  /** A level-triggered vector was completed: redirection entries with it may deliver again. */
  endOfInterrupt(vector: number): void;
  /** What the processor may take has changed. */
  changed(): void;
  nmi(): void;
  init(): void;
  startup(vector: number): void;
}

/** The local APIC of one vCPU, as a page of memory and as MSRs (SDM 3A chapter 11). */
export class LocalApic implements MmioDevice {
  readonly name: string;
  readonly bytes = 0x1000;
  readonly timer: ApicTimer;
  private readonly irr = new VectorSet();
  private readonly isr = new VectorSet();
  /** Vectors in service or requested that came level-triggered. */
  private readonly tmr = new VectorSet();
  /** Plain registers by offset / 16. */
  private readonly registers = new Uint32Array(64);
  private errors = 0;
  private baseMsr: bigint;

  constructor(
    readonly id: number,
    private readonly wires: ApicWires,
  ) {
    this.name = `apic${id}`;
    this.baseMsr = DEFAULT_BASE | APIC_BASE.enabled | (id === 0 ? APIC_BASE.bsp : 0n);
    this.timer = new ApicTimer(
      `${this.name}-timer`,
      wires.timers,
      () => wires.now(),
      () => wires.tscOffset(),
      () => this.localInterrupt(APIC.lvtTimer),
    );
    this.reset();
  }

  /** Power-on and INIT: the id and the base stay (SDM 3A 11.4.7.3). */
  reset(): void {
    for (const set of [this.irr, this.isr, this.tmr]) set.clear();
    this.registers.fill(0);
    this.set(APIC.dfr, 0xffffffff);
    this.set(APIC.svr, 0xff);
    for (const lvt of LVTS) this.set(lvt, LVT_MASKED);
    // The BIOS of a PC leaves the boot processor wired to the PIC; guests without APIC code rely on it.
    if (this.id === 0) this.set(APIC.lvtLint0, DELIVERY.extInt << 8);
    this.errors = 0;
    this.timer.reset();
  }

  private get(offset: number): number {
    return this.registers[offset >> 4] ?? 0;
  }
  private set(offset: number, value: number): void {
    this.registers[offset >> 4] = value;
  }

  get first(): number {
    return Number(this.baseMsr & ~0xfffn);
  }
  get x2apic(): boolean {
    return (this.baseMsr & APIC_BASE.x2apic) !== 0n;
  }
  /** Enabled by IA32_APIC_BASE. */
  get present(): boolean {
    return (this.baseMsr & APIC_BASE.enabled) !== 0n;
  }
  private get softwareEnabled(): boolean {
    return (this.get(APIC.svr) & SVR_ENABLED) !== 0;
  }

  get base(): bigint {
    return this.baseMsr;
  }

  /** False = #GP: only disabled → xAPIC → x2APIC → disabled (SDM 3A 11.12.5). */
  writeBase(value: bigint): boolean {
    const mode = Number((value >> 10n) & 3n);
    const now = Number((this.baseMsr >> 10n) & 3n);
    const legal =
      mode === now || mode === 0 || (now === 2 && mode === 3) || (now === 0 && mode === 2);
    if (!legal || mode === 1) return false;
    this.baseMsr = value;
    if (mode !== now && mode !== 3) this.reset();
    this.wires.changed();
    return true;
  }

  /** The page answers only in xAPIC mode. */
  get mapped(): boolean {
    return this.present && !this.x2apic;
  }

  readMmio(offset: number, size: number): number {
    if (offset & 15 || size !== 4) return offset & 15 ? 0 : this.read(offset) % 2 ** (8 * size);
    return this.read(offset);
  }

  writeMmio(offset: number, size: number, value: number): void {
    if (offset & 15 || size !== 4) return;
    if (offset === APIC.icrLow) this.sendIpi(value, this.get(APIC.icrHigh) >>> 24);
    if (offset !== APIC.selfIpi) this.write(offset, value);
  }

  /** `undefined` = #GP. */
  readMsr(index: number): bigint | undefined {
    const offset = (index - 0x800) << 4;
    if (!this.x2apic || XAPIC_ONLY.includes(offset)) return undefined;
    if (offset === APIC.icrLow)
      return (BigInt(this.get(APIC.icrHigh)) << 32n) | BigInt(this.get(APIC.icrLow));
    return isRegister(offset) && !isWriteOnly(offset) ? BigInt(this.read(offset)) : undefined;
  }

  /** False = #GP: no such register, read-only, or a reserved bit. */
  writeMsr(index: number, value: bigint): boolean {
    const offset = (index - 0x800) << 4;
    if (!this.x2apic || XAPIC_ONLY.includes(offset)) return false;
    if (offset === APIC.icrLow) {
      if (value & 0xfff33000n) return false;
      this.set(APIC.icrHigh, Number(value >> 32n));
      this.set(APIC.icrLow, Number(value & 0xffffffffn));
      this.sendIpi(Number(value & 0xffffffffn), Number(value >> 32n));
      return true;
    }
    if (!isRegister(offset) || READ_ONLY_MSRS.includes(offset) || isVectorSet(offset)) return false;
    const low = Number(value & 0xffffffffn);
    const writable = WRITABLE[offset];
    const zeroOnly = offset === APIC.eoi || offset === APIC.esr;
    if (value >> 32n || (zeroOnly && low !== 0)) return false;
    if (writable !== undefined && (low & ~writable) >>> 0) return false;
    if (offset === APIC.selfIpi)
      this.accept({
        vector: low & 0xff,
        delivery: 0,
        logical: false,
        destination: this.id,
        level: false,
      });
    else this.write(offset, low);
    return true;
  }

  private read(offset: number): number {
    if (isVectorSet(offset)) {
      const set = offset < APIC.tmr ? this.isr : offset < APIC.irr ? this.tmr : this.irr;
      return set.words[(offset >> 4) & 7] ?? 0;
    }
    switch (offset) {
      case APIC.id:
        return this.x2apic ? this.id : (this.id << 24) >>> 0;
      case APIC.version:
        return VERSION;
      case APIC.ppr:
        return this.processorPriority;
      case APIC.ldr:
        return this.x2apic ? this.x2apicLogicalId : this.get(offset);
      case APIC.initialCount:
        return this.timer.initialCount;
      case APIC.currentCount:
        return this.timer.currentCount;
      default:
        if (!isRegister(offset)) this.raiseError(ESR.illegalRegister);
        return this.get(offset);
    }
  }

  private write(offset: number, value: number): void {
    const writable = WRITABLE[offset];
    switch (offset) {
      case APIC.eoi:
        this.endOfInterrupt();
        break;
      case APIC.icrLow:
        this.set(offset, value & 0xcdfff & ~(1 << 12));
        break;
      case APIC.esr:
        this.set(offset, this.errors);
        this.errors = 0;
        break;
      case APIC.initialCount:
        this.timer.initialCount = value >>> 0;
        break;
      default:
        if (writable === undefined) this.raiseError(isRegister(offset) ? 0 : ESR.illegalRegister);
        else this.writePlain(offset, value & writable);
    }
    this.wires.changed();
  }

  private writePlain(offset: number, value: number): void {
    // While software-disabled the mask bits of the LVTs stick (SDM 3A 11.4.7.2).
    const masked = LVTS.includes(offset as never) && !this.softwareEnabled ? LVT_MASKED : 0;
    this.set(offset, value | masked | (offset === APIC.dfr ? 0x0fffffff : 0));
    if (offset === APIC.lvtTimer) this.timer.setMode((value >> 17) & 3);
    if (offset === APIC.divide) this.timer.setDivide(value);
    if (offset === APIC.svr && !this.softwareEnabled)
      for (const lvt of LVTS) this.set(lvt, this.get(lvt) | LVT_MASKED);
  }

  private raiseError(bit: number): void {
    if (bit === 0) return;
    this.errors |= bit;
    this.localInterrupt(APIC.lvtError);
  }

  /** Cluster in bits 31:16, one bit of 15:0 (SDM 3A 11.12.10.2). */
  private get x2apicLogicalId(): number {
    return (((this.id >> 4) << 16) | (1 << (this.id & 15))) >>> 0;
  }

  /** Destination matching (SDM 3A 11.6.2). */
  matches(logical: boolean, destination: number): boolean {
    if (!this.present) return false;
    if (!logical) {
      if (destination === 0xff && !this.x2apic) return true;
      return destination === 0xffffffff || destination === this.id;
    }
    if (this.x2apic) {
      const mine = this.x2apicLogicalId;
      if (destination === 0xffffffff) return true;
      return destination >>> 16 === mine >>> 16 && (destination & mine & 0xffff) !== 0;
    }
    const mine = this.get(APIC.ldr) >>> 24;
    if (this.get(APIC.dfr) >>> 28 === 0xf) return (destination & mine) !== 0;
    return (
      destination === 0xff || (destination >> 4 === mine >> 4 && (destination & mine & 0xf) !== 0)
    );
  }

  private sendIpi(low: number, destination: number): void {
    const delivery = (low >> 8) & 7;
    const level = (low & (1 << 15)) !== 0;
    const vector = low & 0xff;
    // INIT level de-assert: nothing happens on processors since the Pentium 4.
    if (delivery === DELIVERY.init && level && !(low & (1 << 14))) return;
    if (delivery <= DELIVERY.lowest && vector < 16) {
      this.raiseError(ESR.illegalSend);
      return;
    }
    const logical = (low & (1 << 11)) !== 0;
    this.wires.send(
      { vector, delivery, logical, destination, level: false },
      (low >> 18) & 3,
      this.id,
    );
  }

  /** A message that reached this APIC. */
  accept(message: ApicMessage): void {
    switch (message.delivery) {
      case DELIVERY.nmi:
        this.wires.nmi();
        break;
      case DELIVERY.init:
        this.wires.init();
        break;
      case DELIVERY.startup:
        this.wires.startup(message.vector);
        break;
      case DELIVERY.fixed:
      case DELIVERY.lowest:
        this.request(message.vector, message.level);
        break;
      default: // SMI and ExtINT messages have no receiver here.
    }
  }

  private request(vector: number, level: boolean): void {
    if (!this.softwareEnabled) return;
    if (vector < 16) {
      this.raiseError(ESR.illegalReceive);
      return;
    }
    this.irr.add(vector);
    if (level) this.tmr.add(vector);
    else this.tmr.delete(vector);
    this.wires.changed();
  }

  private localInterrupt(lvt: number): void {
    const entry = this.get(lvt);
    if (entry & LVT_MASKED) return;
    const delivery = lvt === APIC.lvtTimer || lvt === APIC.lvtError ? 0 : (entry >> 8) & 7;
    this.accept({
      vector: entry & 0xff,
      delivery,
      logical: false,
      destination: this.id,
      level: false,
    });
  }

  /** The PIC's INTR arrives at LINT0; with the APIC off it goes straight to the processor. */
  get takesExtInt(): boolean {
    if (!this.present) return this.id === 0;
    const lint0 = this.get(APIC.lvtLint0);
    return !(lint0 & LVT_MASKED) && ((lint0 >> 8) & 7) === DELIVERY.extInt;
  }

  get taskPriority(): number {
    return this.get(APIC.tpr);
  }
  set taskPriority(value: number) {
    this.set(APIC.tpr, value);
    this.wires.changed();
  }

  /** SDM 3A 11.8.3.1: the higher of TPR and the class in service. */
  private get processorPriority(): number {
    const tpr = this.get(APIC.tpr);
    const serving = Math.max(this.isr.highest, 0);
    return tpr >> 4 >= serving >> 4 ? tpr : serving & 0xf0;
  }

  /** The vector to deliver, or -1. */
  get pendingVector(): number {
    if (!this.present || !this.softwareEnabled) return -1;
    const vector = this.irr.highest;
    return vector >> 4 > this.processorPriority >> 4 ? vector : -1;
  }

  /** Moves the pending vector into service; the spurious vector when there is none after all. */
  acknowledge(): number {
    const vector = this.pendingVector;
    if (vector < 0) return this.get(APIC.svr) & 0xff;
    this.irr.delete(vector);
    this.isr.add(vector);
    return vector;
  }

  private endOfInterrupt(): void {
    const vector = this.isr.highest;
    if (vector < 0) return;
    this.isr.delete(vector);
    if (this.tmr.has(vector)) this.wires.endOfInterrupt(vector);
  }

  save(): unknown {
    return {
      registers: this.registers.slice(),
      irr: this.irr.words.slice(),
      isr: this.isr.words.slice(),
      tmr: this.tmr.words.slice(),
      errors: this.errors,
      base: this.baseMsr,
      timer: this.timer.save(),
    };
  }

  restore(saved: unknown): void {
    const state = saved as {
      readonly [set in "registers" | "irr" | "isr" | "tmr"]: Uint32Array;
    } & { readonly errors: number; readonly base: bigint; readonly timer: unknown };
    this.registers.set(state.registers);
    for (const set of ["irr", "isr", "tmr"] as const) this[set].words.set(state[set]);
    this.errors = state.errors;
    this.baseMsr = state.base;
    this.timer.restore(state.timer);
  }
}

const isVectorSet = (offset: number): boolean => offset >= APIC.isr && offset < APIC.esr;
const isWriteOnly = (offset: number): boolean => offset === APIC.eoi || offset === APIC.selfIpi;
const KNOWN: ReadonlySet<number> = new Set(Object.values(APIC));
const isRegister = (offset: number): boolean => KNOWN.has(offset) || isVectorSet(offset);
