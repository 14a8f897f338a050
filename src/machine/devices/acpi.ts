import { periodsAt } from "../time";
import type { PortDevice } from "./device";

const PM1_EVT = 0x600;
const PM1_CNT = 0x604;
const PM_TIMER = 0x608;
export const PM_TIMER_HZ = 3_579_545;
const SLP_EN = 1 << 13;

/**
 * The ACPI fixed registers (ACPI 6.5, 4.8.3): PM1a event and control blocks and the 24-bit PM timer.
 * There is no DSDT yet, so every sleep type counts as S5.
 */
export class AcpiRegisters implements PortDevice {
  readonly name = "acpi";
  readonly ports = [[PM1_EVT, PM_TIMER + 3]] as const;
  readonly widest = 4;
  private status = 0;
  private enable = 0;
  private control = 1; // SCI_EN: in ACPI mode from the start

  constructor(
    private readonly now: () => number,
    private readonly powerOff: () => void,
  ) {}

  read(port: number, size: number): number {
    if (port === PM_TIMER) return periodsAt(this.now(), PM_TIMER_HZ) % 2 ** Math.min(24, 8 * size);
    if (port === PM1_EVT) return size === 4 ? this.status + this.enable * 0x10000 : this.status;
    if (port === PM1_EVT + 2) return this.enable;
    return port === PM1_CNT ? this.control : 0;
  }

  write(port: number, size: number, value: number): void {
    if (port === PM1_EVT) this.status &= ~value;
    if (port === PM1_EVT + 2) this.enable = value;
    if (port !== PM1_CNT || size === 1) return;
    this.control = value & ~SLP_EN & 0xffff;
    if (value & SLP_EN) this.powerOff();
  }

  save(): unknown {
    return [this.status, this.enable, this.control];
  }
  restore(saved: unknown): void {
    [this.status, this.enable, this.control] = saved as [number, number, number];
  }
}
