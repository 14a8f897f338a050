import assert from "node:assert/strict";
import { HostMemory } from "../../src/host";
import { hpa, hpaOf, pfn } from "../../src/x86";
import { memoryOf, small } from "./host";

describe("HostMemory", () => {
  it("has its zones at fixed frames, one after the other in the machine's bytes", () => {
    const memory = memoryOf();
    assert.equal(memory.offsetOf(pfn(1)), 0x3000);
    assert.equal(memory.offsetOf(pfn(4)), 0x6000);
    assert.equal(memory.offsetOf(pfn(0x100000)), 0x7000);
    assert.equal(memory.offsetOf(pfn(0x10000f)), 0x16000);
    assert.equal(memory.offsetOf(pfn(0x200007)), 0x1e000);
  });

  it("knows no frame outside the zones", () => {
    const memory = memoryOf();
    for (const frame of [0, 5, 0xfffff, 0x100010, 0x1fffff, 0x200008, 2 ** 39])
      assert.equal(memory.offsetOf(pfn(frame)), -1, frame.toString(16));
    assert.equal(memory.tables.read64(hpa(0)), undefined);
    assert.ok(!memory.tables.store64(hpa(0x5000), 1, 1));
  });

  it("shadow pages come in rising order and a freed one is not the next", () => {
    const memory = memoryOf();
    const first = memory.allocate("mmu");
    assert.equal(first && hpaOf(first), 0x200000000);
    memory.free(pfn(0x200000));
    assert.equal(memory.allocate("mmu"), 0x200001);
  });

  it("starts over at the lowest free frame when the end is reached, then has none", () => {
    const memory = memoryOf();
    for (let i = 0; i < small.mmu; i++) memory.allocate("mmu");
    assert.equal(memory.allocate("mmu"), undefined);
    memory.free(pfn(0x200003));
    memory.free(pfn(0x200005));
    assert.equal(memory.allocate("mmu"), 0x200003);
    assert.equal(memory.allocate("mmu"), 0x200005);
    assert.equal(memory.allocate("mmu"), undefined);
  });

  it("gives spare frames from the top, and a named frame once", () => {
    const memory = memoryOf();
    assert.equal(memory.allocateSpare("guest"), 0x10000f);
    assert.equal(memory.allocateAt(pfn(0x10000e)), 0x10000e);
    assert.equal(memory.allocateAt(pfn(0x10000e)), undefined);
    assert.equal(memory.allocateAt(pfn(0x100010)), undefined, "no such frame");
    assert.equal(memory.allocateSpare("guest"), 0x10000d);
    assert.equal(memory.zones.guest.count, 3);
  });

  it("a frame is zero whenever it is allocated", () => {
    const memory = memoryOf();
    const frame = memory.allocateAt(pfn(0x100002)) ?? pfn(0);
    memory.tables.store64(hpaOf(frame, 8), 0x11, 0x22);
    memory.free(frame);
    assert.equal(memory.tables.read64(hpaOf(frame, 8)), 0x22_0000_0011n, "until it is reused");
    memory.allocateAt(frame);
    assert.equal(memory.tables.read64(hpaOf(frame, 8)), 0n);
  });

  it("freeing what is not allocated is a bug", () => {
    const memory = memoryOf();
    assert.throws(() => memory.free(pfn(0x100000)), /0x100000/);
    assert.throws(() => memory.free(pfn(0x5000000)), /0x5000000/);
  });

  it("an exchange is done against the expected value only", () => {
    const memory = memoryOf();
    const at = hpa(0x100000010);
    memory.tables.store64(at, 1, 2);
    const exchange = (lo: number, hi: number, size: 4 | 8) =>
      memory.tables.exchange(at, size, { lo, hi }, { lo: 7, hi: 8 });
    assert.equal(exchange(1, 3, 8), "changed");
    assert.equal(exchange(2, 2, 8), "changed");
    assert.equal(memory.tables.read64(at), 0x2_0000_0001n);
    assert.equal(exchange(1, 0, 4), "done");
    assert.equal(memory.tables.read64(at), 0x2_0000_0007n, "a 4-byte exchange leaves the rest");
    assert.equal(exchange(7, 2, 8), "done");
    assert.equal(memory.tables.read64(at), 0x8_0000_0007n);
  });

  it("refuses to lie outside the machine's memory", () => {
    const buffer = new ArrayBuffer(0x10000);
    assert.throws(() => new HostMemory({ buffer }, 0, small), /fit/);
    assert.throws(() => new HostMemory({ buffer }, 8, { low: 1, guest: 1, mmu: 1 }), /aligned/);
  });

  it("saves allocated frames that are not zero, and restores exactly that memory", () => {
    const memory = memoryOf();
    const first = memory.allocate("guest") ?? pfn(0);
    const second = memory.allocate("guest") ?? pfn(0);
    memory.free(memory.allocateSpare("guest") ?? pfn(0));
    memory.tables.store64(hpaOf(second, 0x100), 5, 6);
    const gone = memory.allocate("mmu") ?? pfn(0);
    memory.tables.store64(hpaOf(gone), 9, 9);
    memory.free(gone);
    const saved = memory.save();
    assert.deepEqual(
      saved.frames.map(([frame]) => frame),
      [second],
    );

    memory.tables.store64(hpaOf(first), 1, 1);
    memory.free(second);
    memory.allocate("low");
    for (let i = 0; i < 5; i++) memory.allocateSpare("guest");
    memory.restore(saved);
    assert.deepEqual(memory.save(), saved);
    assert.equal(memory.tables.read64(hpaOf(first)), 0n);
    assert.equal(memory.tables.read64(hpaOf(second, 0x100)), 0x6_0000_0005n);
    assert.equal(memory.allocate("mmu"), 0x200001, "the cursors are part of the state");
    assert.equal(memory.allocateSpare("guest"), 0x10000e);
  });
});
