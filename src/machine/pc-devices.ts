import type { Trace } from "../x86";
import { AcpiRegisters } from "./devices/acpi";
import { DebugExit } from "./devices/debug-exit";
import { Debugcon } from "./devices/debugcon";
import type { Device } from "./devices/device";
import { FwCfg } from "./devices/fw-cfg";
import { Interrupts, type InterruptTargets } from "./devices/interrupts";
import { MmioBus } from "./devices/mmio-bus";
import { Pit } from "./devices/pit";
import { PortBus } from "./devices/port-bus";
import { ResetPorts } from "./devices/reset-ports";
import { Rtc } from "./devices/rtc";
import { Serial } from "./devices/serial";
import { TestDevice } from "./devices/test-device";
import { VgaText } from "./devices/vga-text";
import { TimerQueue } from "./time";

const IRQ = { timer: 0, serial: 4 } as const;
/** 1 January 2026: the date at which every run begins. */
const START_SECONDS = 1_767_225_600;

/** What the devices do to the machine around them. */
export interface PcHooks extends InterruptTargets {
  /** A byte for the person: serial port or debug console. */
  output(byte: number): void;
  exit(value: number): void;
  powerOff(): void;
  reset(where: string): void;
  /** A host event on the page behind this guest physical address. */
  dropPage(gpa: number): void;
}

/** Every device of the PC, wired up (platform.md 1). */
export class PcDevices {
  readonly timers = new TimerQueue();
  readonly interrupts: Interrupts;
  readonly serial: Serial;
  readonly ports: PortBus;
  /** One per vCPU: each sees its own local APIC. */
  readonly mmio: readonly MmioBus[];
  private readonly devices: readonly Device[];

  constructor(ramBytes: number, vcpus: number, trace: Trace, hooks: PcHooks) {
    const now = () => hooks.now();
    this.interrupts = new Interrupts(vcpus, this.timers, hooks);
    const { pic, ioApic, apics } = this.interrupts;
    const irq = (line: number) => (level: boolean) => this.interrupts.setIrq(line, level);
    this.serial = new Serial((byte) => hooks.output(byte), irq(IRQ.serial));
    const test = new TestDevice({
      dropPage: (gpa) => hooks.dropPage(gpa),
      setLine: (gsi, level) => this.interrupts.setGsi(gsi, level),
    });
    const onPorts = [
      pic,
      this.serial,
      test,
      new Pit(now, this.timers, irq(IRQ.timer)),
      new Rtc(now, START_SECONDS, ramBytes, vcpus),
      new AcpiRegisters(now, () => hooks.powerOff()),
      new ResetPorts((where) => hooks.reset(where)),
      new FwCfg(ramBytes, vcpus),
      new DebugExit((value) => hooks.exit(value)),
      new Debugcon((byte) => hooks.output(byte)),
      new VgaText(),
    ];
    this.ports = new PortBus(onPorts, trace);
    this.mmio = apics.map(
      (apic) => new MmioBus(() => (apic.mapped ? [apic, ioApic, test] : [ioApic, test]), trace),
    );
    this.devices = [...onPorts, ...apics, ioApic];
  }

  save(): unknown {
    return {
      timers: this.timers.save(),
      devices: Object.fromEntries(this.devices.map((device) => [device.name, device.save()])),
    };
  }

  restore(saved: unknown): void {
    const { timers, devices } = saved as { timers: unknown; devices: Record<string, unknown> };
    this.timers.restore(timers);
    for (const device of this.devices) device.restore(devices[device.name]);
  }
}
