import assert from "node:assert/strict";
import { pfn } from "../../src/x86";
import { ANONYMOUS, page, small, THP, workbench } from "./host";

const bench = () => workbench(ANONYMOUS, 8, { low: 1, guest: 32, mmu: 1 });

describe("changes of a mapping", () => {
  it("F-164 mapping over memory replaces it in one step", () => {
    const { process, heard, put, get, memory, sound } = bench();
    for (const k of [1, 2, 3]) put(k, k);
    heard.length = 0;
    assert.equal(process.mmapOver(page(2), 4096, ANONYMOUS).kind, "mapped");
    assert.deepEqual(heard, ["n start 2-3", "n end 2-3"]);
    assert.deepEqual([1, 2, 3].map(get), [1, 0, 3]);
    assert.equal(memory.zones.guest.count, 2);
    sound();
  });

  it("F-164 discarding a page brings zeros at its next use", () => {
    const { process, heard, put, get, act, sound } = bench();
    put(1, 1);
    put(2, 2);
    act("swap-out", 2);
    heard.length = 0;
    assert.equal(act("discard", 1).kind, "done");
    assert.deepEqual(heard, ["n start 1-2", "host_discard", "n end 1-2"]);
    assert.equal(process.translate(page(1)), undefined);
    act("discard", 2);
    assert.deepEqual([1, 2].map(get), [0, 0]);
    sound();
  });

  it("F-164 discarding a part of a huge page splits it", () => {
    const huge = workbench(THP, 512, { low: 1, guest: 520, mmu: 1 });
    huge.put(3, 3);
    huge.put(4, 4);
    huge.act("discard", 3);
    assert.deepEqual([3, 4].map(huge.get), [0, 4]);
    assert.equal(huge.process.mappingLevel(page(4)), 1);
    huge.sound();
  });

  it("F-007 a page made read-only can be read, not written, until it is writable again", () => {
    const { process, heard, put, get, act, reason, sound } = bench();
    put(2, 2);
    put(3, 3);
    heard.length = 0;
    assert.equal(act("read-only", 2).kind, "done");
    assert.deepEqual(heard, ["n start 2-3", "host_protect", "n end 2-3"]);
    assert.equal(put(2, 9), "read-only");
    assert.equal(process.isWritable(page(2)), false);
    assert.deepEqual(process.faultIn(page(2), false), {
      kind: "page",
      pfn: 0x100002,
      writable: false,
    });
    assert.deepEqual(
      process.mappings.map((m) => m.pages),
      [2, 1, 5],
    );
    assert.match(reason("read-only", 2), /read-only already/);
    assert.match(reason("writable", 3), /writable already/);
    act("read-only", 3);
    assert.deepEqual(
      process.mappings.map((m) => m.pages),
      [2, 2, 4],
    );
    for (const k of [3, 2]) assert.equal(act("writable", k).kind, "done");
    assert.deepEqual(
      process.mappings.map((m) => m.pages),
      [8],
      "what is alike is one mapping again",
    );
    assert.deepEqual([2, 3].map(get), [2, 3]);
    assert.equal(put(2, 4), "page");
    sound();
  });

  it("making the edge of a mapping read-only, and all of it", () => {
    const { process, sound } = bench();
    process.protect(page(0), 2 * 4096, false);
    process.protect(page(6), 2 * 4096, false);
    process.protect(page(2), 4 * 4096, false);
    assert.deepEqual(
      process.mappings.map((m) => [m.pages, m.backing.writable]),
      [[8, false]],
    );
    assert.equal(process.protect(page(0), 123, true).kind, "refused");
    sound();
  });

  it("a merged page that was made read-only and writable is still shared", () => {
    const { process, put, get, act, sound } = bench();
    put(1, 7);
    put(2, 7);
    act("merge", 2);
    act("read-only", 2);
    act("writable", 2);
    put(2, 8);
    assert.deepEqual([1, 2].map(get), [7, 8]);
    assert.notEqual(process.translate(page(1)), process.translate(page(2)));
    sound();
  });
});

describe("poisoned memory", () => {
  it("F-039 fails whoever touches it, and its frame is used by nobody else", () => {
    const { process, memory, heard, put, get, kind, act, reason, sound } = workbench(
      ANONYMOUS,
      8,
      small,
    );
    put(2, 22);
    heard.length = 0;
    assert.equal(act("poison", 2).kind, "done");
    assert.deepEqual(heard, ["n start 2-3", "host_poison", "n end 2-3"]);
    assert.deepEqual([kind(2), kind(2, true)], ["poisoned", "poisoned"]);
    assert.equal(process.translate(page(2)), undefined);
    assert.equal(get(2), undefined);
    assert.match(reason("migrate", 2), /not resident/);
    const saved = { process: process.save(), memory: memory.save() };
    memory.restore(saved.memory);
    process.restore(saved.process);
    assert.equal(kind(2), "poisoned");
    sound();
    assert.equal(reason("unpoison", 2), "done");
    assert.match(reason("unpoison", 2), /not poisoned: poison it first/);
    assert.equal(get(2), 22);
    sound();
    act("poison", 2);
    process.mmapOver(page(2), 4096, ANONYMOUS);
    assert.equal(put(2, 1), "page");
    assert.ok(memory.isAllocated(pfn(0x100002)));
    assert.equal(memory.zones.guest.count, 2, "the broken frame is lost");
    assert.notEqual(process.translate(page(2)), 0x100002);
    sound();
  });

  it("takes 4 KiB of a huge page, which is split", () => {
    const { process, put, get, kind, act, sound } = workbench(THP, 512, {
      low: 1,
      guest: 520,
      mmu: 1,
    });
    put(3, 3);
    put(4, 4);
    act("poison", 3);
    assert.deepEqual([kind(3), get(4)], ["poisoned", 4]);
    assert.equal(process.mappingLevel(page(4)), 1);
    sound();
  });

  it("hits all who share the frame", () => {
    const { put, kind, act, get, sound } = bench();
    put(1, 7);
    put(2, 7);
    act("merge", 2);
    act("poison", 1);
    assert.deepEqual([kind(1), kind(2)], ["poisoned", "poisoned"]);
    sound();
    act("unpoison", 2);
    assert.deepEqual([1, 2].map(get), [7, 7]);
    sound();
  });
});
