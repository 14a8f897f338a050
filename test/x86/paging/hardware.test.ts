import assert from "node:assert/strict";
import {
  ACCESS,
  ALLOW,
  CR0,
  CR4,
  type FrameMap,
  FramePort,
  type Gpa,
  gpa,
  HardwareWalker,
  type PagingControls,
  walkRules,
} from "../../../src/x86";
import { features, longMode } from "./tables";

/** 64 KiB of guest memory at byte 0x10000 of the machine's memory. */
const map: FrameMap<Gpa> = { offsetOf: (frame) => (frame < 16 ? 0x10000 + frame * 4096 : -1) };

function machine(leaf: bigint, controls: PagingControls = longMode) {
  const memory = { buffer: new ArrayBuffer(0x20000) };
  const port = new FramePort(memory, map);
  for (const [at, entry] of [
    [0x1000, 0x2007],
    [0x2000, 0x3007],
    [0x3000, 0x4007],
  ] as const)
    port.store64(gpa(at), entry, 0);
  port.store64(gpa(0x4028), Number(leaf & 0xffffffffn), Number(leaf >> 32n));
  const walker = new HardwareWalker(memory, map, walkRules(controls, features), gpa(0x1000));
  return { port, walker };
}

const { read, write, exec } = ALLOW;

describe("HardwareWalker", () => {
  it("finds the host byte of the frame and sets A and D in place", () => {
    const { port, walker } = machine(0x9007n);
    const refill = walker.refill(0x5123n, ACCESS.user | ACCESS.write, false);
    assert.equal(refill.kind, "ram");
    assert.equal(refill.offset, 0x19000);
    assert.equal(refill.gpa, 0x9123);
    assert.equal(port.read64(gpa(0x4028)), 0x9067n);
    assert.equal(port.read64(gpa(0x1000)), 0x2027n);
  });

  it("lets a clean page be written only after another walk, also with CR0.WP = 0", () => {
    for (const controls of [longMode, { ...longMode, cr0: CR0.PE | CR0.PG }]) {
      const { walker } = machine(0x9007n, controls);
      assert.equal(walker.refill(0x5000n, 0, false).allow, read | exec);
      assert.equal(walker.refill(0x5000n, ACCESS.write, false).allow, read | write | exec);
      assert.equal(walker.refill(0x5000n, 0, false).allow, read | write | exec);
    }
  });

  it("allows what the mode of the access may do, no more", () => {
    const cr4 = longMode.cr4 | CR4.SMEP | CR4.SMAP;
    const { walker } = machine(0x9067n, { ...longMode, cr4 });
    assert.equal(walker.refill(0x5000n, ACCESS.user, false).allow, read | write | exec);
    assert.equal(walker.refill(0x5000n, 0, true).allow, read | write);
    assert.equal(walker.refill(0x5000n, 0, false).error, 1);
    assert.equal(walker.refill(0x5000n, ACCESS.implicit, true).error, 1, "AC does not count");
  });

  it("a supervisor page read-only with WP = 0 is writable to the supervisor", () => {
    const { walker } = machine(0x9061n, { ...longMode, cr0: CR0.PE | CR0.PG });
    assert.equal(walker.refill(0x5000n, 0, false).allow, read | write | exec);
    assert.equal(walker.refill(0x5000n, ACCESS.user, false).error, 5);
  });

  it("an address without memory is a device's", () => {
    const { walker } = machine(0xd0000067n);
    const refill = walker.refill(0x5008n, 0, false);
    assert.deepEqual([refill.kind, refill.gpa], ["device", 0xd0000008]);
  });

  it("a fault carries its error code", () => {
    const { walker } = machine(0n);
    const refill = walker.refill(0x5000n, ACCESS.user | ACCESS.write, false);
    assert.deepEqual([refill.kind, refill.error], ["fault", 6]);
  });
});
