import assert from "node:assert/strict";
import { GracePeriod } from "../../../src/kvm/mmu/grace";
import { isFrozen } from "../../../src/kvm/tdp/frozen";
import { TdpGuest } from "./tdp-guest";

const HVA = 0x7f0000000000;

describe("deferred freeing", () => {
  it("F-192 a table is freed when every reader that was inside has left", () => {
    const grace = new GracePeriod();
    const freed: string[] = [];
    grace.retire(() => freed.push("at once"));
    const first = grace.enter();
    grace.retire(() => freed.push("a"));
    const second = grace.enter();
    grace.retire(() => freed.push("b"));
    const third = grace.enter();
    assert.deepEqual([freed, grace.pending], [["at once"], 2]);
    grace.leave(first);
    assert.deepEqual(freed, ["at once", "a"]);
    grace.leave(second);
    assert.deepEqual([freed, grace.pending, grace.occupied], [["at once", "a", "b"], 0, true]);
    grace.leave(third);
    assert.throws(() => grace.leave(third), /not inside/);
  });

  it("F-192 T1 Z1 Z2: a tree that is emptied under a lockless walker waits for it", () => {
    const g = new TdpGuest();
    g.setSlot(1, 0x8000, 0x10, HVA);
    g.touch(0x9000, "write");
    const { state } = g.vm.core;
    const page = [...state.tdpMmu!.pages].find((each) => each.level === 1)!;
    const points: unknown[] = [];
    g.trace.on("point", ({ fields }) => points.push(fields.point));
    const reader = state.grace.enter();
    g.setSlot(1, 0x8000, 0, HVA);
    assert.ok(!state.tdpMmu!.pages.has(page), "it is out of the tree");
    assert.equal(state.pageInFrame((page.spt / 4096) as never), page, "but it is still there");
    const word = 2 * (page.base + 9);
    assert.ok(isFrozen(state.format, state.words[word]!, state.words[word + 1]!));
    assert.deepEqual(
      points.filter((point) => /[TZ]/.test(String(point))),
      ["T1", "Z1", "T1", "Z1", "T1", "Z1"],
    );
    state.grace.leave(reader);
    assert.equal(state.pageInFrame((page.spt / 4096) as never), undefined);
    assert.deepEqual(points.slice(-3), ["Z2", "Z2", "Z2"]);
  });

  it("F-192 a fault that still holds a table which was taken out finds it frozen, and is tried again", () => {
    const g = new TdpGuest();
    g.setSlot(1, 0x8000, 0x10, HVA);
    const other = g.more();
    g.touch(0x9000, "write");
    let once = true;
    g.trace.on("point", ({ fields }) => {
      if (fields.point !== "P6" || !once) return;
      once = false;
      // Under the very entry that is about to be set.
      g.setSlot(1, 0x8000, 0, HVA);
    });
    g.log.length = 0;
    assert.equal(g.touch(0xa000, "write", other), "ok");
    assert.ok(g.log.some(({ name, fields }) => name === "retry" && fields.why === "frozen"));
    g.vcpu.enter();
    g.verify("both have new roots");
    assert.deepEqual([g.vm.stats.pages_4k, g.vm.core.state.grace.pending], [1, 0]);
  });

  it("two vCPUs that link the same entry: the second lets its page go and takes the first's", () => {
    const g = new TdpGuest();
    const other = g.more();
    let once = true;
    g.trace.on("point", ({ fields }) => {
      if (fields.point !== "P5" || !once) return;
      once = false;
      g.touch(0xa000, "write", other);
    });
    assert.equal(g.touch(0x9000, "write"), "ok");
    assert.equal(g.vcpu.mmu.stats.pf_taken, 2);
    assert.deepEqual([g.vm.stats.pages_4k, g.vm.core.state.tdpMmu!.linkedPages], [2, 3]);
  });

  it("two vCPUs that set the same leaf: the second finds it set", () => {
    const g = new TdpGuest();
    const other = g.more();
    g.touch(0xa000, "write");
    let once = true;
    g.trace.on("point", ({ fields }) => {
      if (fields.point !== "P6" || !once) return;
      once = false;
      g.touch(0x9000, "write", other);
    });
    assert.equal(g.touch(0x9000, "write"), "ok");
    assert.deepEqual([g.vcpu.mmu.stats.pf_taken, g.vm.stats.pages_4k], [2, 2]);
  });
});
