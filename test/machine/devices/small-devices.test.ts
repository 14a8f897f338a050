import assert from "node:assert/strict";
import { AcpiRegisters } from "../../../src/machine/devices/acpi";
import { DebugExit } from "../../../src/machine/devices/debug-exit";
import { FwCfg } from "../../../src/machine/devices/fw-cfg";
import { PortBus } from "../../../src/machine/devices/port-bus";
import { ResetPorts } from "../../../src/machine/devices/reset-ports";
import { Rtc } from "../../../src/machine/devices/rtc";
import { TestDevice } from "../../../src/machine/devices/test-device";
import { VgaText } from "../../../src/machine/devices/vga-text";
import { Trace, type TraceEvent } from "../../../src/x86";

describe("port bus", () => {
  it("reads all ones where nobody answers, and announces it", () => {
    const trace = new Trace();
    const events: TraceEvent[] = [];
    trace.on("unassigned_io", (event) => events.push(event));
    const bus = new PortBus([], trace);
    assert.equal(bus.read(0x2f8, 1), 0xff);
    assert.equal(bus.read(0xcfc, 4), 0xffffffff);
    bus.write(0x80, 2, 0x1234);
    assert.deepEqual(
      events.map(({ fields }) => [fields.direction, fields.port, fields.size, fields.value]),
      [
        ["read", 0x2f8, 1, 0xff],
        ["read", 0xcfc, 4, 0xffffffff],
        ["write", 0x80, 2, 0x1234],
      ],
    );
  });

  it("splits an access that is wider than the device", () => {
    const bus = new PortBus([new VgaText()], new Trace());
    bus.write(0x3d4, 2, 0x420e);
    bus.write(0x3d4, 1, 0x0e);
    assert.equal(bus.read(0x3d4, 2), 0x420e);
  });
});

describe("small devices", () => {
  it("fw_cfg gives its items byte by byte, zeros past the end and for unknown keys", () => {
    const device = new FwCfg(0x8000000, 3);
    const item = (key: number, length: number): number[] => {
      device.write(0x510, 2, key);
      return Array.from({ length }, () => device.read(0x511, 1));
    };
    assert.deepEqual(item(0, 6), [0x51, 0x45, 0x4d, 0x55, 0, 0]);
    assert.deepEqual(item(3, 8), [0, 0, 0, 8, 0, 0, 0, 0]);
    assert.deepEqual(item(5, 2), [3, 0]);
    assert.deepEqual(item(0x11, 4), [0, 0, 0, 0]);
  });

  it("the exit port hands on what is written", () => {
    const values: number[] = [];
    new DebugExit((value) => values.push(value)).write(0xf4, 4, 63);
    assert.deepEqual(values, [63]);
  });

  it("the test device latches by byte, word and dword, and passes on lines and dropped pages", () => {
    const log: unknown[] = [];
    const device = new TestDevice({
      dropPage: (gpa) => log.push(["drop", gpa]),
      setLine: (gsi, level) => log.push(["line", gsi, level]),
    });
    device.write(0xe0, 4, 0x99887766);
    assert.equal(device.read(0xe0, 4), 0x99887766);
    assert.equal(device.read(0xe1, 1), 0x77);
    device.write(0xe2, 2, 0x1122);
    assert.equal(device.read(0xe0, 4), 0x11227766);
    device.write(0xe4, 4, 0x5000);
    device.write(0x2003, 4, 1);
    device.writeMmio(0x10, 4, 0xdeadbeef);
    assert.equal(device.readMmio(0x12, 2), 0xdead);
    assert.deepEqual(log, [
      ["drop", 0x5000],
      ["line", 3, true],
    ]);
  });

  it("S5 in PM1a_CNT switches off; the PM timer counts at 3.58 MHz", () => {
    let off = 0;
    let now = 0;
    const device = new AcpiRegisters(
      () => now,
      () => off++,
    );
    now = 1_000_000_000;
    assert.equal(device.read(0x608, 4), 3_579_545);
    device.write(0x604, 2, 0x1c00);
    assert.equal(off, 0);
    device.write(0x604, 2, 0x2000);
    assert.equal(off, 1);
  });

  it("every way to reset a PC is one", () => {
    const asked: string[] = [];
    const device = new ResetPorts((where) => asked.push(where));
    device.write(0x64, 1, 0xfe);
    device.write(0x92, 1, 3);
    device.write(0xcf9, 1, 2);
    device.write(0xcf9, 1, 6);
    assert.deepEqual(asked, ["the keyboard controller", "port 0x92", "port 0xcf9"]);
    device.write(0x64, 1, 0xaa);
    assert.equal(device.read(0x64) & 1, 1);
    assert.equal(device.read(0x60), 0x55);
  });

  it("the clock shows the start date plus virtual time, in BCD", () => {
    let now = 0;
    const device = new Rtc(() => now, 1_709_208_000, 0x8000000, 1); // 29 February 2024, 12:00
    const at = (register: number): number => {
      device.write(0x70, 1, register);
      return device.read(0x71);
    };
    assert.deepEqual([at(9), at(8), at(7), at(4), at(0x32)], [0x24, 0x02, 0x29, 0x12, 0x20]);
    now = 12 * 3600 * 1e9;
    assert.deepEqual([at(8), at(7), at(4)], [0x03, 0x01, 0x00]);
    assert.equal(at(0x0d), 0x80);
  });
});
