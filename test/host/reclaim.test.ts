import assert from "node:assert/strict";
import type { Shrinker } from "../../src/host";
import { ANONYMOUS, page, workbench } from "./host";

const bench = (mmu = 1) => workbench(ANONYMOUS, 64, { low: 2, guest: 128, mmu });
type Bench = ReturnType<typeof bench>;

const resident = ({ process }: Bench): number[] =>
  [...Array(64).keys()].filter((k) => process.translate(page(k)) !== undefined);

class FakeShrinker implements Shrinker {
  constructor(
    private pages: number,
    private readonly name: string,
    private readonly asked: string[],
  ) {}
  count(): number {
    return this.pages;
  }
  scan(pages: number): number {
    const given = Math.min(pages, this.pages);
    this.asked.push(`${this.name} ${pages}`);
    this.pages -= given;
    return given;
  }
}

describe("reclaim", () => {
  it("F-007 takes pages that were not used since they were looked at", () => {
    const b = bench();
    for (let k = 0; k < 8; k++) b.put(k, k);
    assert.equal(b.process.reclaim(3), 3);
    assert.deepEqual(resident(b), [3, 4, 5, 6, 7], "all were young once, then the hand went on");
    b.kind(3);
    b.kind(5);
    assert.equal(b.process.reclaim(2), 2);
    assert.deepEqual(resident(b), [3, 5, 7]);
    assert.deepEqual([0, 1, 2, 4].map(b.get), [0, 1, 2, 4]);
    b.sound();
  });

  it("asks the notifiers, whose use counts as well", () => {
    const b = bench();
    b.put(0, 1);
    b.listener.young = true;
    assert.equal(b.process.reclaim(1), 0, "young at every turn");
    b.listener.young = false;
    assert.equal(b.process.reclaim(1), 1);
    assert.ok(b.heard.includes("n clear-flush 0-1"));
  });

  it("ends when nothing can be had", () => {
    const b = bench();
    assert.equal(b.process.reclaim(5), 0);
    b.process.munmap(page(0), 64 * 4096);
    assert.equal(b.process.reclaim(5), 0);
  });

  it("F-044 runs when the limit is reached, and not below it", () => {
    const b = bench();
    b.process.limit = 40;
    for (let k = 0; k < 39; k++) b.put(k, k);
    b.process.keepLimit();
    assert.equal(resident(b).length, 39);
    b.put(39, 39);
    b.process.keepLimit();
    assert.equal(resident(b).length, 8, "a cluster at a time");
    b.process.limit = undefined;
    for (let k = 0; k < 64; k++) b.put(k, k);
    b.process.keepLimit();
    assert.equal(resident(b).length, 64);
    b.sound();
  });

  it("F-044 asks one shrinker for its share, each in turn", () => {
    const b = bench(40);
    const asked: string[] = [];
    const one = new FakeShrinker(10, "one", asked);
    b.process.shrinkers.register(new FakeShrinker(0, "none", asked));
    b.process.shrinkers.register(one);
    const leave = b.process.shrinkers.register(new FakeShrinker(10, "two", asked));
    for (let i = 0; i < 20; i++) b.memory.allocate("mmu");
    for (let k = 0; k < 20; k++) b.put(k, k);
    b.process.limit = 40;
    b.process.keepLimit();
    assert.deepEqual(asked, ["one 16"], "32 pages are wanted, half of what is used can shrink");
    assert.equal(b.process.shrinkers.shrink(3), 3);
    assert.deepEqual(asked, ["one 16", "two 3"]);
    assert.equal(b.process.shrinkers.count(), 7);
    leave();
    assert.equal(b.process.shrinkers.shrink(3), 0);
  });

  it("the turn of the shrinkers and the hand are part of the state", () => {
    const b = bench();
    const asked: string[] = [];
    for (const name of ["one", "two"])
      b.process.shrinkers.register(new FakeShrinker(9, name, asked));
    for (let k = 0; k < 8; k++) b.put(k, k);
    b.process.shrinkers.shrink(1);
    b.process.reclaim(2);
    b.process.limit = 99;
    const saved = { process: b.process.save(), memory: b.memory.save() };
    b.process.shrinkers.shrink(1);
    b.process.reclaim(2);
    const after = resident(b);
    b.memory.restore(saved.memory);
    b.process.restore(saved.process);
    b.process.shrinkers.shrink(1);
    assert.deepEqual(asked, ["one 1", "two 1", "two 1"]);
    b.process.reclaim(2);
    assert.deepEqual(resident(b), after);
    assert.equal(b.process.memoryReport().limit, 99);
  });

  it("a page alone is reclaimed when it was not used lately", () => {
    const b = bench();
    b.put(1, 5);
    assert.match(b.reason("reclaim", 1), /was used lately, so it stays/);
    assert.match(b.reason("reclaim", 1), /not used lately, so it was swapped out/);
    assert.equal(b.get(1), 5);
    b.sound();
  });

  it("the report counts where memory is, and what is pinned", () => {
    const b = bench(8);
    const asked: string[] = [];
    b.process.shrinkers.register(new FakeShrinker(2, "one", asked));
    for (let i = 0; i < 5; i++) b.memory.allocate("mmu");
    b.memory.allocate("low");
    for (let k = 0; k < 6; k++) b.put(k, 7);
    b.act("merge", 1);
    b.act("swap-out", 2);
    b.act("poison", 3);
    assert.deepEqual(b.process.memoryReport(), {
      used: 4 + 5,
      limit: undefined,
      resident: 4,
      huge2m: 0,
      huge1g: 0,
      merged: 2,
      swapped: 1,
      poisoned: 1,
      cached: 0,
      pinned: 1 + 5 - 2,
    });
  });
});
