import assert from "node:assert/strict";
import { type PteList, pteListCount, pteListEntries, pteListKind } from "../../../src/kvm";
import { pteListAdd, pteListRemove } from "../../../src/kvm/mmu/pte-list";
import { gfn } from "../../../src/x86";
import { Guest } from "../guest";
import { touchedGuest } from "../tables";

const filled = (count: number): PteList => {
  let list: PteList = 0;
  for (let i = 1; i <= count; i++) list = pteListAdd(list, i);
  return list;
};

describe("reverse-map words", () => {
  it("F-083 hold none, one or many", () => {
    assert.deepEqual(
      [0, 1, 2].map((n) => pteListKind(filled(n))),
      ["none", "one", "many"],
    );
    assert.deepEqual(
      [0, 1, 40].map((n) => pteListCount(filled(n))),
      [0, 1, 40],
    );
    assert.equal(pteListKind(pteListRemove(filled(2), 1)), "one");
    assert.equal(pteListRemove(filled(1), 1), 0);
  });

  it("F-083 are visited from the newest descriptor of 14", () => {
    const entries = pteListEntries(filled(16));
    assert.deepEqual(entries.slice(0, 4), [15, 16, 1, 2]);
    assert.equal(entries.length, 16);
  });

  it("fill a hole with the last entry of the newest descriptor", () => {
    assert.deepEqual(pteListRemove(filled(16), 3), [1, 2, 16, ...range(4, 15)]);
  });

  it("say so when an entry is not there", () => {
    assert.throws(() => pteListRemove(filled(1), 7), /is not the one entry/);
    assert.throws(() => pteListRemove(filled(3), 7), /not among 3 entries/);
  });
});

describe("the reverse map", () => {
  it("F-081 leads from a gfn to every spte that maps it", () => {
    const g = touchedGuest().entry(0x4040, 0x9067);
    g.read(3, 0x8000);
    const table = g.vm.pagesOf(gfn(4))[0]!;
    assert.deepEqual(g.vm.rmapOf(gfn(9), 1), [table.base + 5, table.base + 8]);
    assert.deepEqual(g.vm.countsOf(g.vm.slots[0]!), {
      shadowPages: 4,
      sptes: 2,
      byLevel: [2, 0, 0],
    });
  });

  it("F-084 a chain of more than 1000 is zapped when one more is added", () => {
    const g = new Guest();
    g.entry(0x1000, 0x2067).entry(0x2000, 0x3067);
    for (let i = 0; i < 2; i++) {
      g.entry(0x3000 + 8 * i, 0x4067 + i * 0x1000);
      for (let k = 0; k < 512; k++) g.entry(0x4000 + i * 0x1000 + 8 * k, 0x9067);
    }
    g.enter();
    // The prefetch maps the rest of each window of eight.
    for (let page = 0; page < 1002; page++) g.read(3, page * 0x1000);
    assert.equal(g.vm.stats.mmu_recycled, 1);
    assert.ok(pteListCount(g.vm.rmapOf(gfn(9), 1)) < 24);
    assert.ok(g.vm.stats.max_mmu_rmap_size <= 1001);
    assert.ok(g.vm.stats.remote_tlb_flush > 0);
    assert.deepEqual(g.vm.check(), []);
  });
});

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);
