import assert from "node:assert/strict";
import { byteSpace } from "../../src/machine/byte-space";
import { BareRam, wrongSlots } from "../../src/machine/guest-ram";
import { guestMemoryMap, layoutMemory } from "../../src/machine/memory-map";
import { type Gpa, gfn, gpa } from "../../src/x86";

const slot = (at: number, size: number) => ({ gpa: at, size, flags: [] });
const textOf = (...slots: ReturnType<typeof slot>[]): string | undefined => wrongSlots(slots)?.text;

describe("guest memory", () => {
  it("takes slots that are aligned, apart and below the devices", () => {
    assert.equal(textOf(slot(0, 0x10000), slot(0x20000, 0x1000)), undefined);
  });

  it("refuses other slots in a sentence with what to do", () => {
    assert.equal(
      textOf(slot(0x800, 0x1000)),
      "memslot 0 (gpa 0x800, size 0x1000) is not aligned: make gpa and size multiples of 0x1000",
    );
    assert.equal(
      textOf(slot(0, 0x3000), slot(0x2000, 0x1000)),
      "memslot 1 (gpa 0x2000, size 0x1000) overlaps memslot 0 (gpa 0x0): move or shrink one",
    );
    assert.match(textOf(slot(0, 0)) ?? "", /is empty: give it at least 0x1000 bytes/);
    assert.match(textOf(slot(0xbffff000, 0x2000)) ?? "", /ends above 0xc0000000/);
    assert.match(textOf() ?? "", /the list is empty/);
  });

  it("finds frames of slots one after the other, and none between them", () => {
    const memory = new WebAssembly.Memory({ initial: 2 });
    const ram = new BareRam(new Uint8Array(memory.buffer), 0x4000, [
      slot(0, 0x2000),
      slot(0x9000, 0x1000),
    ]);
    assert.equal(ram.offsetOf(gfn(1)), 0x5000);
    assert.equal(ram.offsetOf(gfn(9)), 0x6000);
    assert.equal(ram.offsetOf(gfn(2)), -1);
    assert.equal(ram.nextFrame(gfn(3)), 9);
    assert.equal(ram.nextFrame(gfn(9)), undefined);
  });

  it("saves the pages that are not zero and brings back exactly them", () => {
    const memory = new WebAssembly.Memory({ initial: 2 });
    const bytes = new Uint8Array(memory.buffer);
    const ram = new BareRam(bytes, 0x4000, [slot(0, 0x8000)]);
    bytes[0x6123] = 7;
    const saved = ram.save();
    assert.equal((saved as unknown[]).length, 1);
    bytes[0x6123] = 8;
    bytes[0x7000] = 9;
    ram.restore(saved);
    assert.deepEqual([bytes[0x6123], bytes[0x7000]], [7, 0]);
  });

  it("hands guests a map in which usable and reserved ranges rise and do not overlap", () => {
    const map = guestMemoryMap(0x1000000);
    map.reduce((end, { base, length }) => {
      assert.ok(base >= end && length > 0);
      return base + length;
    }, 0);
    assert.equal(map.at(-1)?.type, 1);
  });

  it("lays out 256 MiB of guest memory without overlap below 400 MB", () => {
    const ram = 256 * 2 ** 20;
    const { parkBase, arenaBase, arenaBytes, hostBase, totalBytes } = layoutMemory(4, ram);
    assert.ok(parkBase < arenaBase && arenaBase + arenaBytes <= hostBase);
    assert.ok(hostBase + ram <= totalBytes && totalBytes < 400e6);
  });
});

describe("byte space", () => {
  const pages = new Map([
    [1, new Uint8Array(4096).fill(1)],
    [2, new Uint8Array(4096).fill(2)],
    [5, new Uint8Array(4096).fill(5)],
  ]);
  const space = byteSpace<Gpa>({
    page: (at) => pages.get(Math.floor(at / 4096)),
    store: (at, bytes) => {
      if (at >= 0x5000) return false;
      pages.get(Math.floor(at / 4096))?.set(bytes, at % 4096);
      return true;
    },
    nextMapped: () => undefined,
  });

  it("reads across pages up to the first hole", () => {
    const read = space.read(gpa(0x1ffe), 0x2000);
    assert.equal(read.length, 2 + 4096);
    assert.deepEqual([...read.subarray(0, 4)], [1, 1, 2, 2]);
    assert.equal(space.read(gpa(0x3000), 8).length, 0);
  });

  it("writes up to the first hole or page that may not be written", () => {
    assert.equal(space.write(gpa(0x2ffe), Uint8Array.of(7, 8, 9)), 2);
    assert.deepEqual([...space.read(gpa(0x2ffd), 8)], [2, 7, 8]);
    assert.equal(space.write(gpa(0x5000), Uint8Array.of(1)), 0);
  });
});
