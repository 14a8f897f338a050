import { copyPlain } from "../plain-state";
import type { PortDevice } from "./device";

interface Chip {
  irr: number;
  isr: number;
  imr: number;
  /** Input levels, to find edges. */
  lines: number;
  /** Bit set: the input is level-triggered (ELCR). */
  level: number;
  base: number;
  /** Highest-priority input; rotation moves it. */
  top: number;
  autoEoi: boolean;
  rotateOnAutoEoi: boolean;
  specialMask: boolean;
  /** Next initialization command word expected at the data port, 0 = none (a mask is written). */
  icw: 0 | 2 | 3 | 4;
  needsIcw4: boolean;
  readIsr: boolean;
  poll: boolean;
}

const chipAfterReset = (): Chip => ({
  irr: 0,
  isr: 0,
  imr: 0xff,
  lines: 0,
  level: 0,
  base: 0,
  top: 0,
  autoEoi: false,
  rotateOnAutoEoi: false,
  specialMask: false,
  icw: 0,
  needsIcw4: false,
  readIsr: false,
  poll: false,
});

/** As a PC's firmware leaves the pair: initialized, vectors 08h and 70h, every input open. */
const fromFirmware = (base: number): Chip => ({ ...chipAfterReset(), base, imr: 0 });

/** Rank of the best input in `bits`: 0 is the highest priority, 8 means none. */
function rank(chip: Chip, bits: number): number {
  for (let i = 0; i < 8; i++) if ((bits >> ((chip.top + i) & 7)) & 1) return i;
  return 8;
}

/** The input to serve now, or -1: requested, unmasked and above all that is in service. */
function pendingInput(chip: Chip): number {
  const requested = rank(chip, chip.irr & ~chip.imr);
  const inService = rank(chip, chip.specialMask ? chip.isr & ~chip.imr : chip.isr);
  return requested < inService ? (chip.top + requested) & 7 : -1;
}

const CASCADE = 2;
const SPURIOUS = 7;

/** The 8259A pair of a PC/AT, with the edge/level registers of the chipset (Intel 8259A data sheet). */
export class PicPair implements PortDevice {
  readonly name = "pic";
  readonly ports = [
    [0x20, 0x21],
    [0xa0, 0xa1],
    [0x4d0, 0x4d1],
  ] as const;
  readonly widest = 1;
  private chips: [Chip, Chip] = [fromFirmware(0x08), fromFirmware(0x70)];

  /** `changed` is called when INTR may have. */
  constructor(private readonly changed: () => void) {}

  /** The INTR output: there is something to acknowledge. */
  get requesting(): boolean {
    return pendingInput(this.chips[0]) >= 0;
  }

  setLine(irq: number, level: boolean): void {
    const chip = this.chips[irq >> 3 === 0 ? 0 : 1];
    const bit = 1 << (irq & 7);
    const rising = level && !(chip.lines & bit);
    chip.lines = level ? chip.lines | bit : chip.lines & ~bit;
    if (chip.level & bit) chip.irr = level ? chip.irr | bit : chip.irr & ~bit;
    // An edge stays latched when the line falls, as in every chipset's model of the chip.
    else if (rising) chip.irr |= bit;
    this.update();
  }

  /** The INTA cycle: the vector, with the spurious one when the request went away. */
  acknowledge(): number {
    const [master, slave] = this.chips;
    const input = pendingInput(master);
    if (input !== CASCADE) {
      if (input >= 0) this.serve(master, input);
      this.update();
      return master.base + (input < 0 ? SPURIOUS : input);
    }
    const behind = pendingInput(slave);
    this.serve(master, CASCADE);
    if (behind >= 0) this.serve(slave, behind);
    this.update();
    return slave.base + (behind < 0 ? SPURIOUS : behind);
  }

  read(port: number): number {
    if (port >= 0x4d0) return this.chips[port === 0x4d0 ? 0 : 1].level;
    const chip = this.chips[port < 0x80 ? 0 : 1];
    if (chip.poll) return this.answerPoll(chip);
    if (port & 1) return chip.imr;
    return chip.readIsr ? chip.isr : chip.irr;
  }

  write(port: number, _size: number, value: number): void {
    if (port === 0x4d0) this.chips[0].level = value & 0xf8;
    else if (port === 0x4d1) this.chips[1].level = value & 0xde;
    else {
      const chip = this.chips[port < 0x80 ? 0 : 1];
      if (port & 1) this.writeData(chip, value);
      else if (value & 0x10) this.initialize(chip, value);
      else if (value & 0x08) this.operationWord3(chip, value);
      else this.operationWord2(chip, value);
    }
    this.update();
  }

  private initialize(chip: Chip, icw1: number): void {
    const { lines, level } = chip;
    Object.assign(chip, chipAfterReset(), { lines, level, imr: 0, icw: 2 });
    chip.needsIcw4 = (icw1 & 1) !== 0;
  }

  private writeData(chip: Chip, value: number): void {
    if (chip.icw === 2) {
      chip.base = value & 0xf8;
      chip.icw = 3;
    } else if (chip.icw === 3) chip.icw = chip.needsIcw4 ? 4 : 0;
    else if (chip.icw === 4) {
      chip.autoEoi = (value & 2) !== 0;
      chip.icw = 0;
    } else chip.imr = value;
  }

  private operationWord3(chip: Chip, value: number): void {
    chip.poll = (value & 4) !== 0;
    if (value & 2) chip.readIsr = (value & 1) !== 0;
    if (value & 0x40) chip.specialMask = (value & 0x20) !== 0;
  }

  /** OCW2: rotate (bit 7), specific (bit 6), EOI (bit 5), input in bits 2:0. */
  private operationWord2(chip: Chip, value: number): void {
    const rotate = (value & 0x80) !== 0;
    const specific = (value & 0x40) !== 0;
    if (!(value & 0x20)) {
      if (specific && rotate) chip.top = (value + 1) & 7;
      else if (!specific) chip.rotateOnAutoEoi = rotate;
      return;
    }
    const highest = rank(chip, chip.isr);
    const input = specific ? value & 7 : (chip.top + highest) & 7;
    if (!specific && highest === 8) return;
    chip.isr &= ~(1 << input);
    if (rotate) chip.top = (input + 1) & 7;
  }

  private answerPoll(chip: Chip): number {
    chip.poll = false;
    const input = pendingInput(chip);
    if (input < 0) return 0;
    this.serve(chip, input);
    this.update();
    return 0x80 | input;
  }

  private serve(chip: Chip, input: number): void {
    const bit = 1 << input;
    if (!(chip.level & bit)) chip.irr &= ~bit;
    if (!chip.autoEoi) chip.isr |= bit;
    else if (chip.rotateOnAutoEoi) chip.top = (input + 1) & 7;
  }

  /** The slave's INTR is the master's input 2. */
  private update(): void {
    const [master, slave] = this.chips;
    if (pendingInput(slave) >= 0) master.irr |= 1 << CASCADE;
    else master.irr &= ~(1 << CASCADE);
    this.changed();
  }

  save(): unknown {
    return copyPlain(this.chips);
  }
  restore(saved: unknown): void {
    this.chips = copyPlain(saved as [Chip, Chip]);
  }
}
