import assert from "node:assert/strict";
import { Serial } from "../../../src/machine/devices/serial";

const BASE = 0x3f8;

function serial() {
  const sent: number[] = [];
  const line = { level: false };
  const device = new Serial(
    (byte) => sent.push(byte),
    (level) => {
      line.level = level;
    },
  );
  const read = (register: number): number => device.read(BASE + register);
  const write = (register: number, value: number): void => device.write(BASE + register, 1, value);
  return { device, sent, line, read, write };
}

describe("serial port", () => {
  it("sends what is written to THR and is always ready for more", () => {
    const { sent, read, write } = serial();
    assert.equal(read(5), 0x60);
    write(0, 0x41);
    assert.deepEqual(sent, [0x41]);
    assert.equal(read(5), 0x60);
  });

  it("raises the THRE interrupt as soon as it is enabled; reading IIR clears it, writing THR brings it back", () => {
    const { line, read, write } = serial();
    write(4, 8);
    write(1, 2);
    assert.equal(line.level, true);
    assert.equal(read(2), 2);
    assert.equal(line.level, false);
    assert.equal(read(2), 1);
    write(0, 0x42);
    assert.equal(line.level, true);
  });

  it("keeps its line low while OUT2 is clear", () => {
    const { line, write } = serial();
    write(1, 2);
    assert.equal(line.level, false);
    write(4, 8);
    assert.equal(line.level, true);
  });

  it("shows received bytes in LSR, IIR and RBR", () => {
    const { device, line, read, write } = serial();
    write(4, 8);
    write(1, 1);
    device.receive(Uint8Array.of(0x61, 0x62));
    assert.equal(line.level, true);
    assert.equal(read(5) & 1, 1);
    assert.equal(read(2), 4);
    assert.equal(read(0), 0x61);
    assert.equal(read(0), 0x62);
    assert.equal(read(5) & 1, 0);
    assert.equal(line.level, false);
  });

  it("passes a 16550A probe: scratch, IER's top nibble, FIFO bits, loopback", () => {
    const { sent, read, write } = serial();
    write(7, 0x5a);
    assert.equal(read(7), 0x5a);
    write(1, 0xff);
    assert.equal(read(1), 0x0f);
    write(1, 0);
    write(2, 1);
    assert.equal(read(2) & 0xc0, 0xc0);
    write(4, 0x1a);
    assert.equal(read(6) & 0xf0, 0x90);
    write(0, 0x77);
    assert.deepEqual(sent, []);
    assert.equal(read(0), 0x77);
  });

  it("has a divisor behind DLAB", () => {
    const { sent, read, write } = serial();
    write(3, 0x83);
    write(0, 0x34);
    write(1, 0x12);
    assert.deepEqual([read(0), read(1)], [0x34, 0x12]);
    write(3, 3);
    assert.equal(read(1), 0);
    assert.deepEqual(sent, []);
  });

  it("comes back from a saved state", () => {
    const { device, write } = serial();
    write(4, 8);
    write(1, 3);
    device.receive(Uint8Array.of(9));
    const saved = device.save();
    const other = serial();
    other.device.restore(saved);
    assert.deepEqual(other.device.save(), saved);
    assert.equal(other.read(0), 9);
    assert.equal(device.read(BASE), 9);
  });
});
