import { copyPlain } from "../plain-state";
import type { PortDevice } from "./device";

const IER = { received: 1, thrEmpty: 2, lineStatus: 4, modemStatus: 8 } as const;
const IIR = { none: 1, modemStatus: 0, thrEmpty: 2, received: 4 } as const;
const LSR = { ready: 0x01, overrun: 0x02, thrEmpty: 0x20, idle: 0x40 } as const;
const LCR_DLAB = 0x80;
const MCR = { dtr: 1, rts: 2, out1: 4, out2: 8, loopback: 0x10 } as const;
const MSR = { ctsChanged: 1, cts: 0x10, dsr: 0x20, ri: 0x40, dcd: 0x80 } as const;
/** Lines of a terminal that is always there: clear to send, data set ready, carrier. */
const CONNECTED = MSR.cts | MSR.dsr | MSR.dcd;
const FIFO_BYTES = 16;

interface Registers {
  ier: number;
  lcr: number;
  mcr: number;
  scratch: number;
  divisor: number;
  fifo: boolean;
  overrun: boolean;
  /** Low nibble of MSR: what changed since it was last read. */
  modemDelta: number;
  /** THR became empty and nobody has read IIR since. */
  thrEmptied: boolean;
  /** Bytes received and not yet read, oldest first. */
  received: number[];
}

const afterReset = (): Registers => ({
  ier: 0,
  lcr: 0,
  mcr: 0,
  scratch: 0,
  divisor: 12,
  fifo: false,
  overrun: false,
  modemDelta: 0,
  thrEmptied: false,
  received: [],
});

/** A 16550A whose transmitter drains at once (National Semiconductor PC16550D data sheet). */
export class Serial implements PortDevice {
  readonly name = "serial";
  readonly ports = [[0x3f8, 0x3ff]] as const;
  readonly widest = 1;
  private r = afterReset();

  constructor(
    private readonly output: (byte: number) => void,
    private readonly setLine: (level: boolean) => void,
  ) {}

  /** Bytes arriving on the line; none are lost, the FIFO is as deep as needed. */
  receive(bytes: Uint8Array): void {
    this.r.received.push(...bytes);
    this.updateLine();
  }

  read(port: number): number {
    const value = this.readRegister(port & 7);
    this.updateLine();
    return value;
  }

  write(port: number, _size: number, value: number): void {
    this.writeRegister(port & 7, value);
    this.updateLine();
  }

  private readRegister(index: number): number {
    const r = this.r;
    const divisorShown = (r.lcr & LCR_DLAB) !== 0;
    switch (index) {
      case 0:
        return divisorShown ? r.divisor & 0xff : (r.received.shift() ?? 0);
      case 1:
        return divisorShown ? r.divisor >> 8 : r.ier;
      case 2: {
        const cause = this.cause();
        if (cause === IIR.thrEmpty) r.thrEmptied = false;
        return cause | (r.fifo ? 0xc0 : 0);
      }
      case 3:
        return r.lcr;
      case 4:
        return r.mcr;
      case 5: {
        const overrun = r.overrun ? LSR.overrun : 0;
        r.overrun = false;
        return LSR.thrEmpty | LSR.idle | overrun | (r.received.length > 0 ? LSR.ready : 0);
      }
      case 6: {
        const delta = r.modemDelta;
        r.modemDelta = 0;
        return this.modemLines() | delta;
      }
      default:
        return r.scratch;
    }
  }

  private writeRegister(index: number, value: number): void {
    const r = this.r;
    if (r.lcr & LCR_DLAB && index < 2) {
      r.divisor = index === 0 ? (r.divisor & 0xff00) | value : (r.divisor & 0xff) | (value << 8);
      return;
    }
    switch (index) {
      case 0:
        this.transmit(value);
        break;
      case 1:
        // Enabling the interrupt while THR is empty raises it at once; Linux's probe waits for it.
        if (value & IER.thrEmpty && !(r.ier & IER.thrEmpty)) r.thrEmptied = true;
        r.ier = value & 0x0f;
        break;
      case 2:
        r.fifo = (value & 1) !== 0;
        if (value & 2) r.received = [];
        break;
      case 3:
        r.lcr = value;
        break;
      case 4: {
        const before = this.modemLines();
        r.mcr = value & 0x1f;
        r.modemDelta |= (before ^ this.modemLines()) >> 4;
        break;
      }
      case 7:
        r.scratch = value;
        break;
      default: // LSR and MSR are read-only.
    }
  }

  private transmit(byte: number): void {
    const r = this.r;
    if (!(r.mcr & MCR.loopback)) this.output(byte);
    else if (r.received.length < FIFO_BYTES) r.received.push(byte);
    else r.overrun = true;
    r.thrEmptied = true;
  }

  /** In loopback the four outputs of MCR are wired to the four inputs of MSR. */
  private modemLines(): number {
    const { mcr } = this.r;
    if (!(mcr & MCR.loopback)) return CONNECTED;
    return (
      (mcr & MCR.rts ? MSR.cts : 0) |
      (mcr & MCR.dtr ? MSR.dsr : 0) |
      (mcr & MCR.out1 ? MSR.ri : 0) |
      (mcr & MCR.out2 ? MSR.dcd : 0)
    );
  }

  /** The highest interrupt that is both pending and enabled, as IIR shows it. */
  private cause(): number {
    const { ier, received, thrEmptied, modemDelta } = this.r;
    if (ier & IER.received && received.length > 0) return IIR.received;
    if (ier & IER.thrEmpty && thrEmptied) return IIR.thrEmpty;
    if (ier & IER.modemStatus && modemDelta !== 0) return IIR.modemStatus;
    return IIR.none;
  }

  private updateLine(): void {
    // OUT2 is the gate between the chip and the interrupt line on a PC.
    this.setLine(this.cause() !== IIR.none && (this.r.mcr & MCR.out2) !== 0);
  }

  save(): unknown {
    return copyPlain(this.r);
  }
  restore(saved: unknown): void {
    this.r = copyPlain(saved as Registers);
  }
}
