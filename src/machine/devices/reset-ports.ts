import type { PortDevice } from "./device";

const CONTROLLER_COMMAND = {
  readOutputPort: 0xd0,
  writeOutputPort: 0xd1,
  selfTest: 0xaa,
  reset: 0xfe,
} as const;
const OUTPUT_PORT_RUN = 1;
const OUTPUT_PORT_A20 = 2;
const STATUS_OUTPUT_FULL = 1;
const STATUS_SELF_TEST_PASSED = 4;

/**
 * The places where a PC is reset: the 8042 keyboard controller (0x60, 0x64; no keyboard is attached),
 * system control port A (0x92) and the chipset's reset control (0xcf9). A20 is latched and always on.
 */
export class ResetPorts implements PortDevice {
  readonly name = "reset-ports";
  readonly ports = [
    [0x60, 0x60],
    [0x64, 0x64],
    [0x92, 0x92],
    [0xcf9, 0xcf9],
  ] as const;
  readonly widest = 1;
  /** Last command to 0x64 that waits for a byte at 0x60; 0 = none. */
  private command = 0;
  /** Byte to be read at 0x60; -1 = none. */
  private output = -1;
  private systemControl = OUTPUT_PORT_A20;
  private resetControl = 0;

  constructor(private readonly reset: (where: string) => void) {}

  read(port: number): number {
    if (port === 0x92) return this.systemControl;
    if (port === 0xcf9) return this.resetControl;
    if (port === 0x64) return STATUS_SELF_TEST_PASSED | (this.output < 0 ? 0 : STATUS_OUTPUT_FULL);
    const byte = Math.max(this.output, 0);
    this.output = -1;
    return byte;
  }

  write(port: number, _size: number, value: number): void {
    if (port === 0x92) {
      this.systemControl = value;
      if (value & 1) this.reset("port 0x92");
    } else if (port === 0xcf9) {
      this.resetControl = value & ~4;
      if (value & 4) this.reset("port 0xcf9");
    } else if (port === 0x64) this.controllerCommand(value);
    else {
      if (this.command === CONTROLLER_COMMAND.writeOutputPort && !(value & OUTPUT_PORT_RUN))
        this.reset("the keyboard controller");
      this.command = 0;
    }
  }

  private controllerCommand(value: number): void {
    this.command = value;
    if (value === CONTROLLER_COMMAND.reset) this.reset("the keyboard controller");
    if (value === CONTROLLER_COMMAND.selfTest) this.output = 0x55;
    if (value === CONTROLLER_COMMAND.readOutputPort)
      this.output = OUTPUT_PORT_RUN | OUTPUT_PORT_A20;
  }

  save(): unknown {
    return [this.command, this.output, this.systemControl, this.resetControl];
  }
  restore(saved: unknown): void {
    [this.command, this.output, this.systemControl, this.resetControl] = saved as [
      number,
      number,
      number,
      number,
    ];
  }
}
