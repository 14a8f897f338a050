import assert from "node:assert/strict";
import type { Refill } from "../../../src/x86";
import { Tlb } from "../../../src/x86/cpu/tlb";

/** An empty TLB in a memory of its own. */
function tlb(): Tlb {
  const made = new Tlb(new WebAssembly.Memory({ initial: 8 }), () => 0);
  made.clear();
  return made;
}

const page = (level: number, global = false): Refill => ({
  kind: "ram",
  offset: 0x40000,
  allow: 7,
  level,
  global,
  gpa: 0,
  error: 0,
});

const insert = (t: Tlb, va: bigint, refill: Refill, bank = 0): void =>
  t.insert(bank, Number(va & 0xffffffffn), Number(va >> 32n), refill, false);
const held = (t: Tlb): string[] => t.list().map(({ va }) => va.toString(16));

describe("the TLB", () => {
  it("INVLPG drops the page from every bank and leaves its neighbours", () => {
    const t = tlb();
    for (const bank of [0, 1, 2]) insert(t, 0x5000n, page(1), bank);
    insert(t, 0x6000n, page(1));
    t.flushPage(0x5fffn, 21);
    assert.deepEqual(held(t), ["6000"]);
  });

  it("INVLPG drops every fragment of a large page, and only of that one", () => {
    const t = tlb();
    for (const va of [0x200000n, 0x3ff000n, 0x400000n]) insert(t, va, page(2));
    insert(t, 0x201000n, page(1));
    t.flushPage(0x300000n, 21);
    assert.deepEqual(held(t).sort(), ["201000", "400000"]);
  });

  it("tells 2 MB pages from the 4 MB pages of 32-bit paging", () => {
    const t = tlb();
    for (const va of [0x400000n, 0x7ff000n, 0x800000n]) insert(t, va, page(2));
    t.flushPage(0x400000n, 22);
    assert.deepEqual(held(t), ["800000"]);
  });

  it("keeps a page with the same low half elsewhere in the address space", () => {
    const t = tlb();
    insert(t, 0xffff800000200000n, page(3));
    t.flushPage(0x200000n, 21);
    assert.deepEqual(held(t), ["ffff800000200000"]);
    t.flushPage(0xffff800000000000n, 21);
    assert.deepEqual(held(t), []);
  });

  it("a page that user and supervisor run from keeps a fetch entry of each", () => {
    const t = tlb();
    assert.equal(t.insertCode(false, 0x5000, 0, page(1)), false);
    assert.equal(t.insertCode(true, 0x5000, 0, page(1)), false, "nothing evicted");
    assert.equal(t.lookupCode(false, 0x5123, 0), 0x40000);
    assert.equal(t.lookupCode(true, 0x5123, 0), 0x40000);
    t.flushPage(0x5000n, 21);
    assert.deepEqual([t.lookupCode(false, 0x5000, 0), t.lookupCode(true, 0x5000, 0)], [-1, -1]);
  });

  it("says whether a translation for fetch went", () => {
    const t = tlb();
    insert(t, 0x5000n, page(1));
    assert.equal(t.flushPage(0x5000n, 21), false);
    t.insertCode(false, 0x5000, 0, page(1));
    insert(t, 0x6000n, page(1));
    assert.equal(t.flushPage(0x6000n, 21), false);
    assert.equal(t.flushPage(0x5000n, 21), true);
    t.insertCode(true, 0x201000, 0, page(2));
    assert.equal(t.flushPage(0x3ff000n, 21), true, "a fragment of a large page");
    t.insertCode(true, 0x5000, 0, page(1, true));
    insert(t, 0x6000n, page(1));
    assert.equal(t.flush(true), false, "the fetch entry is global");
    assert.equal(t.flush(false), true);
  });

  it("a flush spares global pages when asked to", () => {
    const t = tlb();
    insert(t, 0x5000n, page(1, true));
    insert(t, 0x6000n, page(1));
    t.flush(true);
    assert.deepEqual(held(t), ["5000"]);
    t.flush(false);
    assert.deepEqual(held(t), []);
  });
});
