import assert from "node:assert/strict";
import { pfn } from "../../src/x86";
import { ANONYMOUS, page, THP, workbench } from "./host";

/** 4 MiB and a page of guest memory, and room for three huge pages and a few small ones. */
const hugeHost = (backing = THP) =>
  workbench(backing, 1025, { low: 1, guest: 3 * 512 + 8, mmu: 1 });

describe("huge pages of the host", () => {
  it("F-007 the first use of a free 2 MiB brings a huge page, aligned, with a mapping level", () => {
    const { process, events, sound } = hugeHost();
    const found = process.faultIn(page(515), false);
    assert.deepEqual(found, { kind: "page", pfn: 0x100203, writable: true });
    assert.deepEqual(events[0]?.fields, {
      hva: page(512),
      pfn: 0x100200,
      level: 2,
      write: false,
    });
    assert.equal(process.mappingLevel(page(1023)), 2);
    assert.equal(process.mappingLevel(page(511)), 1);
    assert.equal(process.translate(page(700)), 0x100000 + 700);
    process.faultIn(page(1024), true);
    assert.equal(process.mappingLevel(page(1024)), 1, "the rest of the mapping is too short");
    sound();
  });

  it("a small page is used where a small one is already, or no aligned run is free", () => {
    const { process, memory, sound } = hugeHost();
    memory.allocateAt(pfn(0x100007));
    process.faultIn(page(0), true);
    assert.equal(process.translate(page(0)), 0x100400, "another run than its home");
    process.faultIn(page(512), true);
    assert.equal(process.mappingLevel(page(512)), 2);
    const small = hugeHost(ANONYMOUS);
    small.process.faultIn(page(0), true);
    assert.equal(small.process.mappingLevel(page(0)), 1);
    const full = hugeHost();
    for (const frame of [0, 512, 1024]) full.memory.allocateAt(pfn(0x100000 + frame));
    full.process.faultIn(page(3), true);
    assert.equal(full.process.mappingLevel(page(3)), 1);
    sound();
  });

  it("F-007 splitting keeps the frames and the marks, and tells the notifiers of all 2 MiB", () => {
    const { process, heard, act, put, sound } = hugeHost();
    put(5, 7);
    heard.length = 0;
    assert.equal(act("split", 9).kind, "done");
    assert.deepEqual(heard, ["n start 0-512", "host_split", "n end 0-512"]);
    assert.equal(process.mappingLevel(page(5)), 1);
    assert.equal(process.translate(page(5)), 0x100005);
    assert.ok(process.page(page(300))?.dirty, "each page may have been the written one");
    assert.equal(act("split", 5).kind, "refused");
    sound();
  });

  it("F-007 collapsing brings resident, swapped and untouched pages into one huge page", () => {
    const { process, heard, act, put, get, sound } = hugeHost({
      kind: "anonymous",
      writable: true,
    });
    put(3, 33);
    put(4, 44);
    act("swap-out", 4);
    heard.length = 0;
    assert.equal(act("collapse", 9).kind, "done");
    assert.deepEqual(heard, ["n start 0-512", "host_collapse", "n end 0-512"]);
    assert.equal(process.mappingLevel(page(0)), 2);
    assert.equal((process.translate(page(3)) ?? 0) % 512, 3);
    assert.deepEqual([get(3), get(4), get(5)], [33, 44, 0]);
    sound();
    assert.match(JSON.stringify(act("collapse", 9)), /in a huge page already/);
    assert.match(JSON.stringify(act("collapse", 1024)), /not all in one mapping/);
    assert.match(JSON.stringify(act("collapse", 600)), /nothing .* is resident/);
  });

  it("a huge page moves as one, and comes back from swap in pieces", () => {
    const { process, heard, memory, act, put, get, sound } = hugeHost();
    put(5, 55);
    assert.equal(act("migrate", 7).kind, "done");
    assert.deepEqual(heard.slice(-3), ["n start 0-512", "host_migrate", "n end 0-512"]);
    assert.equal(process.translate(page(0)), 0x100400);
    assert.equal(process.mappingLevel(page(0)), 2);
    assert.equal(get(5), 55);
    act("swap-out", 100);
    assert.equal(memory.zones.guest.count, 0);
    assert.ok(process.page(page(511))?.swapped);
    sound();
    process.faultIn(page(5), false);
    assert.equal(process.mappingLevel(page(5)), 1);
    assert.equal(get(5), 55);
    sound();
  });

  it("no huge page comes over one that is swapped out", () => {
    const { process, act, put, get, sound } = hugeHost();
    put(3, 33);
    act("split", 3);
    act("swap-out", 3);
    process.discard(page(0), 3 * 4096);
    process.discard(page(4), 508 * 4096);
    put(9, 99);
    assert.equal(process.mappingLevel(page(9)), 1);
    assert.deepEqual([get(3), get(9)], [33, 99]);
    sound();
  });

  it("a collapsed page is young when one of its pages was", () => {
    for (const young of [true, false]) {
      const { process, act, put } = hugeHost(ANONYMOUS);
      put(3, 1);
      put(4, 1);
      act("age", 3);
      if (!young) act("age", 4);
      act("collapse", 3);
      assert.equal(process.page(page(9))?.accessed, young);
    }
  });

  it("unmapping a part of a huge page splits it first", () => {
    const { process, heard, put, get, sound } = hugeHost();
    put(0, 1);
    put(511, 2);
    heard.length = 0;
    process.munmap(page(100), 4096);
    assert.deepEqual(heard, [
      "n start 0-512",
      "host_split",
      "n end 0-512",
      "n start 100-101",
      "n end 100-101",
    ]);
    assert.deepEqual([get(0), get(511)], [1, 2]);
    sound();
  });

  it("a state with huge pages is restored", () => {
    const { process, memory, put, sound } = hugeHost();
    put(5, 5);
    const saved = { process: process.save(), memory: memory.save() };
    process.munmap(page(0), 4096);
    memory.restore(saved.memory);
    process.restore(saved.process);
    assert.equal(process.mappingLevel(page(5)), 2);
    assert.deepEqual(process.save(), saved.process);
    sound();
  });
});
