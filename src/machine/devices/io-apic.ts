import { type ApicMessage, DELIVERY } from "./apic-message";
import type { MmioDevice } from "./device";

const INPUTS = 24;
const VERSION = 0x00170020;
const REGISTER = { id: 0, version: 1, arbitration: 2, table: 0x10 } as const;
const ENTRY = {
  logical: 1 << 11,
  remoteIrr: 1 << 14,
  level: 1 << 15,
  masked: 1 << 16,
} as const;
const READ_ONLY = (1 << 12) | ENTRY.remoteIrr;

/** The I/O APIC: 24 inputs, each with a redirection entry (Intel 82093AA data sheet). */
export class IoApic implements MmioDevice {
  readonly name = "ioapic";
  readonly first = 0xfec00000;
  readonly bytes = 0x1000;
  private select = 0;
  private id = 0;
  private lines = 0;
  private readonly low = new Uint32Array(INPUTS).fill(ENTRY.masked);
  private readonly high = new Uint32Array(INPUTS);

  constructor(private readonly send: (message: ApicMessage) => void) {}

  /** An edge while masked is lost; a level waits for its entry to be unmasked or completed. */
  setLine(input: number, level: boolean): void {
    const bit = 1 << input;
    const rising = level && !(this.lines & bit);
    this.lines = level ? this.lines | bit : this.lines & ~bit;
    if (rising || (level && this.entry(input) & ENTRY.level)) this.deliver(input);
  }

  /** EOI of a level vector: entries that still have their line high deliver again. */
  endOfInterrupt(vector: number): void {
    for (let input = 0; input < INPUTS; input++) {
      const entry = this.entry(input);
      if ((entry & 0xff) !== vector || !(entry & ENTRY.level)) continue;
      this.low[input] = entry & ~ENTRY.remoteIrr;
      if (this.lines & (1 << input)) this.deliver(input);
    }
  }

  readMmio(offset: number): number {
    if (offset === 0x00) return this.select;
    return offset === 0x10 ? this.readRegister() : 0;
  }

  writeMmio(offset: number, _size: number, value: number): void {
    if (offset === 0x00) this.select = value & 0xff;
    else if (offset === 0x10) this.writeRegister(value);
    else if (offset === 0x40) this.endOfInterrupt(value & 0xff);
  }

  private entry(input: number): number {
    return this.low[input] ?? 0;
  }

  private readRegister(): number {
    if (this.select === REGISTER.id || this.select === REGISTER.arbitration)
      return (this.id << 24) >>> 0;
    if (this.select === REGISTER.version) return VERSION;
    const input = (this.select - REGISTER.table) >> 1;
    return ((this.select & 1 ? this.high : this.low)[input] ?? 0) >>> 0;
  }

  private writeRegister(value: number): void {
    if (this.select === REGISTER.id) this.id = (value >> 24) & 0xf;
    if (this.select < REGISTER.table || this.select >= REGISTER.table + 2 * INPUTS) return;
    const input = (this.select - REGISTER.table) >> 1;
    if (this.select & 1) {
      this.high[input] = value & 0xff000000;
      return;
    }
    const kept = value & ENTRY.level ? this.entry(input) & READ_ONLY : 0;
    this.low[input] = (value & 0x1afff & ~READ_ONLY) | kept;
    if (value & ENTRY.level && this.lines & (1 << input)) this.deliver(input);
  }

  private deliver(input: number): void {
    const entry = this.entry(input);
    if (entry & ENTRY.masked || (entry & ENTRY.level && entry & ENTRY.remoteIrr)) return;
    const level = (entry & ENTRY.level) !== 0;
    const delivery = (entry >> 8) & 7;
    if (level && delivery <= DELIVERY.lowest) this.low[input] = entry | ENTRY.remoteIrr;
    this.send({
      vector: entry & 0xff,
      delivery,
      logical: (entry & ENTRY.logical) !== 0,
      destination: (this.high[input] ?? 0) >>> 24,
      level,
    });
  }

  save(): unknown {
    const { select, id, lines } = this;
    return { select, id, lines, low: this.low.slice(), high: this.high.slice() };
  }
  restore(saved: unknown): void {
    const state = saved as ReturnType<IoApic["save"]> & {
      select: number;
      id: number;
      lines: number;
      low: Uint32Array;
      high: Uint32Array;
    };
    this.select = state.select;
    this.id = state.id;
    this.lines = state.lines;
    this.low.set(state.low);
    this.high.set(state.high);
  }
}
