import assert from "node:assert/strict";
import { PicPair } from "../../../src/machine/devices/pic";

/** A pair initialized as PC software does: vectors 0x20 and 0x28, all inputs open. */
function pic(icw4 = 1): PicPair {
  const pair = new PicPair(() => {});
  for (const [port, icw2, icw3] of [
    [0x20, 0x20, 4],
    [0xa0, 0x28, 2],
  ] as const) {
    pair.write(port, 1, 0x11);
    pair.write(port + 1, 1, icw2);
    pair.write(port + 1, 1, icw3);
    pair.write(port + 1, 1, icw4);
    pair.write(port + 1, 1, 0);
  }
  return pair;
}

describe("interrupt controller pair", () => {
  it("reads back a mask, as Linux probes it", () => {
    const pair = pic();
    pair.write(0x21, 1, 0xfb);
    assert.equal(pair.read(0x21), 0xfb);
  });

  it("delivers the highest request, and the next only after its EOI", () => {
    const pair = pic();
    pair.setLine(4, true);
    pair.setLine(1, true);
    assert.equal(pair.acknowledge(), 0x21);
    assert.equal(pair.requesting, false);
    pair.write(0x20, 1, 0x20);
    assert.equal(pair.requesting, true);
    assert.equal(pair.acknowledge(), 0x24);
  });

  it("brings the slave's inputs through input 2", () => {
    const pair = pic();
    pair.setLine(8, true);
    assert.equal(pair.acknowledge(), 0x28);
    pair.write(0x20, 1, 0x0b);
    assert.equal(pair.read(0x20), 4);
    pair.write(0xa0, 1, 0x0b);
    assert.equal(pair.read(0xa0), 1);
  });

  it("answers a request that went away with the spurious vector and nothing in service", () => {
    const pair = pic();
    pair.write(0x4d0, 1, 0x08);
    pair.setLine(3, true);
    pair.setLine(3, false);
    assert.equal(pair.requesting, false);
    assert.equal(pair.acknowledge(), 0x27);
    pair.write(0x20, 1, 0x0b);
    assert.equal(pair.read(0x20), 0);
  });

  it("keeps an edge although its line has fallen", () => {
    const pair = pic();
    pair.setLine(11, true);
    pair.setLine(11, false);
    assert.equal(pair.acknowledge(), 0x2b);
  });

  it("begins as firmware leaves it, with vectors 8 and 70h", () => {
    const pair = new PicPair(() => {});
    pair.setLine(11, true);
    assert.equal(pair.acknowledge(), 0x73);
  });

  it("holds masked requests back", () => {
    const pair = pic();
    pair.write(0x21, 1, 1);
    pair.setLine(0, true);
    assert.equal(pair.requesting, false);
    pair.write(0x21, 1, 0);
    assert.equal(pair.requesting, true);
  });

  it("repeats a level-triggered request while its line is high", () => {
    const pair = pic();
    pair.write(0x4d0, 1, 0x20);
    pair.setLine(5, true);
    assert.equal(pair.acknowledge(), 0x25);
    pair.write(0x20, 1, 0x65);
    assert.equal(pair.requesting, true);
    pair.setLine(5, false);
    assert.equal(pair.requesting, false);
  });

  it("keeps nothing in service with automatic EOI", () => {
    const pair = pic(3);
    pair.setLine(6, true);
    assert.equal(pair.acknowledge(), 0x26);
    pair.setLine(7, true);
    assert.equal(pair.acknowledge(), 0x27);
  });

  it("comes back from a saved state", () => {
    const pair = pic();
    pair.setLine(4, true);
    const saved = pair.save();
    const other = new PicPair(() => {});
    other.restore(saved);
    assert.equal(other.acknowledge(), 0x24);
    assert.deepEqual(pair.save(), saved);
  });
});
