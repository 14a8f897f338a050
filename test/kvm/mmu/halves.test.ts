import assert from "node:assert/strict";
import { pageTooltip } from "../../../src/debug/views/page-text";
import { performHostAction } from "../../../src/host";
import { readLockless } from "../../../src/kvm/mmu/halves";
import { gfn } from "../../../src/x86";
import { checked } from "../checked";
import type { Guest } from "../guest";
import { firstGuest, sp } from "../tables";

const onHost32 = (): Guest => {
  const g = firstGuest({ ...checked, knobs: { host32: true } }).enter();
  g.read(3, 0x5000);
  g.write(3, 0x5000, 1);
  return g;
};
const leafPage = (g: Guest) => {
  const [page] = g.vm.pagesOf(gfn(4));
  assert.ok(page);
  return page;
};
/** Runs `others` the first time the point is reached. */
function at(g: Guest, point: string, others: () => void): void {
  let once = true;
  g.trace.on("point", ({ fields }) => {
    if (fields.point !== point || !once) return;
    once = false;
    others();
  });
}
/** The spte of 0x5000 as somebody reads it without the lock. */
function seen(g: Guest): bigint {
  const { state } = g.vm.core;
  readLockless(state, leafPage(g).base + 5);
  return (BigInt(state.seen.hi >>> 0) << 32n) | BigInt(state.seen.lo >>> 0);
}
const isPresent = (value: bigint): boolean => (value & 0x800n) !== 0n;

describe("sptes of a 32-bit host", () => {
  it("F-079 clear_spte_count rises as entries become empty, and only there", () => {
    const g = onHost32();
    const page = leafPage(g);
    assert.equal(page.clearSpteCount, 0);
    performHostAction(g.process, g.trace, "swap-out", g.vm.slots[0]!.hvaOf(gfn(9)));
    assert.equal(page.clearSpteCount, 1);
    assert.match(pageTooltip(g.vm, page), /`clear_spte_count = 1`/);
    const other = firstGuest(checked).enter();
    other.read(3, 0x5000);
    performHostAction(other.process, other.trace, "swap-out", other.vm.slots[0]!.hvaOf(gfn(9)));
    assert.equal(leafPage(other).clearSpteCount, 0);
    assert.doesNotMatch(pageTooltip(other.vm, leafPage(other)), /clear_spte_count/);
  });

  it("F-079 an entry that becomes empty is not present as soon as half of it is stored", () => {
    const g = onHost32();
    let between: bigint | undefined;
    at(g, "H1", () => {
      between = g.spte(sp(3, 5));
    });
    performHostAction(g.process, g.trace, "swap-out", g.vm.slots[0]!.hvaOf(gfn(9)));
    assert.notEqual(between, undefined);
    assert.equal(isPresent(between!), false);
    assert.notEqual(between, g.spte(sp(3, 5)));
  });

  it("F-079 one that appears is not present before all of it is stored", () => {
    const g = firstGuest({ ...checked, knobs: { host32: true } })
      .enter()
      .entry(0x4030, 0xa007);
    g.read(3, 0x5000);
    const states: boolean[] = [];
    g.trace.on("point", ({ fields }) => {
      if (fields.point === "H1") states.push(isPresent(g.spte(sp(3, 6))));
    });
    g.read(3, 0x6000);
    assert.deepEqual(states, [false]);
    assert.ok(isPresent(g.spte(sp(3, 6))));
  });

  it("F-079 a reader whose entry was emptied and filled between its two reads reads again", () => {
    const g = onHost32();
    const before = g.spte(sp(3, 5));
    at(g, "H2", () => {
      g.emulatedStore(0x4028, 0x9067n | (1n << 63n));
      g.read(3, 0x5000);
      g.write(3, 0x5000, 2);
    });
    const value = seen(g);
    const after = g.spte(sp(3, 5));
    // The low halves are equal: only the count tells that the value is another.
    assert.equal(after & 0xffffffffn, before & 0xffffffffn);
    assert.notEqual(after, before);
    assert.equal(value, after);
  });

  it("F-079 the guest sees no difference", () => {
    for (const host32 of [false, true]) {
      const g = firstGuest({ ...checked, knobs: { host32 } }).enter();
      g.write(3, 0x5000, 7);
      g.movCr3(0x1000).invlpg(0x5000);
      assert.deepEqual(g.read(3, 0x5000), { kind: "ok", value: 7n, emulated: false });
    }
  });
});
