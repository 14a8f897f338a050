import assert from "node:assert/strict";
import type { Backing, HostLevel } from "../../src/host";
import { hva, pfn } from "../../src/x86";
import { page, workbench } from "./host";

const deviceHost = (level: HostLevel, first = 0x400000) =>
  workbench({ kind: "device", writable: true, first: pfn(first), level }, 1024, {
    low: 1,
    guest: 8,
    mmu: 1,
    device: 1536,
  });

describe("memory of a device", () => {
  it("F-039 is mapped to the device's frames, which nobody counts", () => {
    const { process, memory, put, get, sound } = deviceHost(1);
    put(3, 7);
    assert.equal(process.translate(page(3)), 0x400003);
    assert.equal(process.mappingLevel(page(3)), 1);
    assert.equal(memory.zones.guest.count, 0);
    assert.deepEqual(process.hvasOf(pfn(0x400003)), []);
    assert.equal(process.page(page(3))?.sharers, 0);
    process.markUsed(pfn(0x400003), true);
    sound();
    process.munmap(page(0), 1024 * 4096);
    assert.ok(memory.isAllocated(pfn(0x400003)), "it is there whoever maps it");
    const again: Backing = { kind: "device", writable: true, first: pfn(0x400000), level: 1 };
    process.mmap(page(0), 4096 * 8, again);
    assert.equal(get(3), 7);
    sound();
  });

  it("is mapped by entries as large as both sides are aligned", () => {
    const huge = deviceHost(2);
    huge.put(600, 1);
    assert.equal(huge.process.mappingLevel(page(600)), 2);
    assert.equal(huge.process.translate(page(600)), 0x400000 + 600);
    huge.sound();
    const skewed = deviceHost(3, 0x400001);
    skewed.put(600, 1);
    assert.equal(skewed.process.mappingLevel(page(600)), 1);
    assert.equal(skewed.process.translate(page(600)), 0x400001 + 600);
    skewed.sound();
  });

  it("cannot be swapped, moved, merged, discarded or poisoned", () => {
    const { put, reason, process } = deviceHost(1);
    put(3, 7);
    assert.match(reason("swap-out", 3), /kind device, which is never reclaimed/);
    assert.match(reason("migrate", 3), /memory of a device, which cannot move/);
    assert.match(reason("merge", 3), /not anonymous/);
    assert.match(reason("discard", 3), /cannot be discarded: unmap it/);
    assert.match(reason("poison", 3), /not poisoned: choose another/);
    assert.match(reason("age", 3), /was used since/);
    assert.match(reason("age", 3), /was not used since/);
    const beyond: Backing = { kind: "device", writable: true, first: pfn(0x4005ff), level: 1 };
    assert.match(
      JSON.stringify(process.mmap(hva(0x10000), 0x2000, beyond)),
      /frames 0x4005ff to 0x400600 are not all of a device/,
    );
  });

  it("is part of the saved memory", () => {
    const { memory, process, put, get } = deviceHost(2);
    put(3, 7);
    const saved = { memory: memory.save(), process: process.save() };
    put(3, 8);
    memory.restore(saved.memory);
    process.restore(saved.process);
    assert.equal(get(3), 7);
    assert.deepEqual(memory.save(), saved.memory);
  });
});
