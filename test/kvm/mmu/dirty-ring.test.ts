import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { DirtyRing } from "../../../src/kvm/mmu/dirty/ring";
import { checked } from "../checked";
import { checkpoint } from "../checkpoint";
import { Guest, type GuestOptions } from "../guest";
import type { ScriptedVcpu } from "../scripted-vcpu";
import { sp } from "../tables";
import { Copy } from "./dirty-oracle";

const RING = 0x1000;
const PAGES = 0x400;
const RING_EVENTS = ["kvm_dirty_ring_push", "kvm_dirty_ring_reset", "kvm_dirty_ring_exit"];
/** Pages of data are mapped one after the other from here. */
const va = (page: number): number => 0x200000 + page * 0x1000;
const FIRST = 0x10;

/** A guest whose data pages `FIRST` to `FIRST + 511` are mapped, in a slot that logs. */
function ringGuest(options: GuestOptions = {}): Guest {
  const g = new Guest({ ...checked, pages: PAGES, dirtyRing: RING, ...options });
  g.entry(0x1000, 0x2067).entry(0x2000, 0x3067).entry(0x3008, 0x4067);
  for (let i = 0; i < 512; i++) g.entry(0x4000 + 8 * i, (FIRST + i) * 0x1000 + 0x67);
  g.enter();
  assert.equal(g.setSlot(0, 0, PAGES, GUEST_HVA, 1), "flags");
  g.log.length = 0;
  return g;
}
const offsets = (g: Guest, vcpu = g.vcpu): number[] =>
  vcpu.dirtyRing!.collect().map(({ offset }) => offset);

describe("the dirty ring", () => {
  it("what may be asked of the capability", () => {
    const { vm } = new Guest();
    assert.equal(vm.enableDirtyRing(RING)?.errno, "EINVAL", "there is a vCPU");
    const tried = (bytes: number, more: GuestOptions = {}): string => {
      try {
        const g = new Guest({ ...more, dirtyRing: bytes });
        return g.vcpu.dirtyRing ? `${g.vcpu.dirtyRing.size} entries` : "no ring";
      } catch (refused) {
        return String((refused as Error).message);
      }
    };
    assert.equal(tried(0x1000), "256 entries");
    assert.equal(tried(0x100000), "65536 entries");
    assert.equal(tried(0x200000), "E2BIG");
    assert.equal(tried(0x800), "EINVAL");
    assert.equal(tried(0x1800), "EINVAL");
    assert.equal(tried(0x2000, { paging: "ept" }), "EINVAL", "PML brings 512 at once");
    assert.equal(tried(0x4000, { paging: "ept" }), "1024 entries");
    assert.equal(new Guest().vm.resetDirtyRings() instanceof Object, true);
  });

  it("takes the place of the bitmaps", () => {
    const g = ringGuest();
    const got = g.vm.getDirtyLog(0);
    assert.ok(!(got instanceof Uint32Array));
    assert.equal(got.errno, "ENXIO");
    const range = { slot: 0, firstPage: 0, numPages: 0, bitmap: new Uint32Array(0) };
    assert.equal(g.vm.clearDirtyLog(range)?.errno, "ENXIO");
    assert.equal(g.vm.slots[0]?.dirtyBitmap, undefined);
  });

  it("F-008 a write is entered when it faults, and again after the reset of its entry", () => {
    const g = ringGuest();
    g.write(0, va(5), 1);
    // The walker has set A and D in the tables, which are written to as well.
    assert.deepEqual(g.events(RING_EVENTS), [
      "kvm_dirty_ring_push: ring 0: dirty 0x1 reset 0x0 slot 0 offset 0x15 (used 1)",
    ]);
    g.write(0, va(5), 2);
    assert.deepEqual(g.events(RING_EVENTS), []);
    assert.deepEqual(offsets(g), [0x15]);
    assert.equal(g.spte(sp(3, 5)) & 2n, 2n, "collected, not reset");
    const flushes = g.vm.stats.remote_tlb_flush;
    assert.equal(g.vm.resetDirtyRings(), 1);
    g.stepped("reset");
    assert.equal(g.vm.stats.remote_tlb_flush, flushes + 1);
    assert.equal(g.spte(sp(3, 5)) & 2n, 0n);
    assert.deepEqual(g.events(RING_EVENTS), [
      "kvm_dirty_ring_reset: ring 0: dirty 0x1 reset 0x1 (used 0)",
    ]);
    assert.equal(g.vm.resetDirtyRings(), 0);
    g.write(0, va(5), 3);
    assert.deepEqual(offsets(g), [0x15]);
  });

  it("only what was collected is reset, in its order", () => {
    const g = ringGuest();
    for (const page of [3, 200, 1]) g.write(0, va(page), 1);
    assert.deepEqual(offsets(g), [0x13, 0xd8, 0x11]);
    g.write(0, va(4), 1);
    assert.equal(g.vm.resetDirtyRings(), 3);
    g.stepped("reset");
    const writable = [1, 3, 4, 200].map((page) => (g.spte(sp(3, page)) & 2n) !== 0n);
    assert.deepEqual(writable, [false, false, true, false]);
    assert.deepEqual(offsets(g), [0x14]);
  });

  it("a frame is in the ring from its entry to its reset, and no stale entry counts", () => {
    const ring = new DirtyRing(0, 4, 0);
    assert.ok(!ring.has(0, 0), "of a ring that is empty");
    for (const offset of [5, 6, 7]) ring.push(1, offset);
    assert.ok(ring.has(1, 5) && ring.has(1, 7) && !ring.has(1, 8) && !ring.has(2, 5));
    ring.collect();
    assert.ok(ring.has(1, 5), "collected, not reset");
    ring.takeCollected();
    assert.ok(!ring.has(1, 5));
    ring.push(1, 8);
    assert.ok(ring.has(1, 8) && !ring.has(1, 5));
  });

  it("a ring that is nearly full sends its vCPU back to userspace until it is reset", () => {
    const g = ringGuest();
    let outcome = g.write(0, va(0), 1);
    let pages = 1;
    while (outcome.kind === "ok") outcome = g.write(0, va(pages++), 1);
    assert.deepEqual(outcome, { kind: "user-exit", reason: "DIRTY_RING_FULL" });
    // 64 of the 256 entries are kept for what one exit may bring.
    assert.equal(g.vcpu.dirtyRing?.used, 192);
    assert.ok(g.events(RING_EVENTS).includes("kvm_dirty_ring_exit: vcpu 0"));
    assert.equal(g.write(0, va(0), 2).kind, "user-exit");
    g.enter();
    assert.equal(g.vcpu.userExit, "DIRTY_RING_FULL");
    offsets(g);
    assert.equal(g.vm.resetDirtyRings(), 192);
    assert.equal(g.write(0, va(pages), 2).kind, "ok");
    assert.equal(g.vcpu.userExit, undefined);
  });

  it("each vCPU has its own", () => {
    const g = ringGuest();
    const other = g.addVcpu();
    other.vcpu.enter();
    g.write(0, va(1), 1);
    other.access(0, BigInt(va(2)), 2, 1n);
    other.access(0, BigInt(va(1)), 2, 1n);
    assert.deepEqual(offsets(g), [0x11]);
    assert.deepEqual(offsets(g, other.vcpu), [0x12]);
    assert.equal(g.vm.resetDirtyRings(), 2);
  });

  it("a sync makes nothing writable: it might bring more than there is room for", () => {
    const g = ringGuest();
    // Page 0 of the data is the page table's own; gva 0x6000 of it is remapped read-only.
    g.entry(0x4000 + 8 * 7, 0x4067);
    g.entry(0x4000 + 8 * 8, 0x20065);
    g.read(0, va(8));
    g.write(0, va(7) + 8 * 8, 0x20067);
    const before = g.vcpu.dirtyRing!.used;
    g.movCr3(0x1000);
    assert.equal(g.vcpu.dirtyRing!.used, before);
    assert.equal(g.spte(sp(3, 8)) & 0x402n, 0x400n);
    g.write(0, va(8), 5);
    assert.ok(offsets(g).includes(0x20));
  });

  it("is saved between push, collection and reset", () => {
    const g = ringGuest();
    for (const page of [1, 2]) g.write(0, va(page), 1);
    offsets(g);
    g.write(0, va(3), 1);
    const goBack = checkpoint(g);
    offsets(g);
    g.vm.resetDirtyRings();
    g.write(0, va(1), 1);
    goBack();
    assert.deepEqual(g.vm.check(g.vcpu), []);
    assert.equal(g.vm.resetDirtyRings(), 2);
    assert.deepEqual(offsets(g), [0x13]);
    g.write(0, va(1), 1);
    assert.deepEqual(offsets(g), [0x11]);
  });

  const ENGINES: readonly GuestOptions[] = [
    {},
    { paging: "npt" },
    { paging: "ept", dirtyRing: 0x4000 },
    { paging: "ept", dirtyRing: 0x4000, tdpMmu: false },
    { paging: "ept", knobs: { pml: false } },
  ];
  for (const options of ENGINES)
    it(`F-191 INV-D-01 no write is lost while two vCPUs write and rings are reset: ${JSON.stringify(options)}`, () => {
      const g = ringGuest(options);
      const vcpus: ScriptedVcpu[] = [g.first, g.addVcpu()];
      const copy = new Copy(g);
      const reap = (): void => {
        g.vm.kick();
        const pages = vcpus.flatMap(({ vcpu }) => offsets(g, vcpu));
        g.vm.resetDirtyRings();
        // After the reset: what is written from here on is entered anew.
        copy.take(pages);
      };
      g.vm.onUserExit = reap;
      let random = 12345;
      const next = (below: number): number => {
        random = (Math.imul(random, 1103515245) + 12345) >>> 0;
        return (random >>> 8) % below;
      };
      for (let step = 0; step < 4000; step++) {
        const page = next(3) === 0 ? next(512) : next(40);
        vcpus[next(2)]!.access(0, BigInt(va(page) + 8 * next(512)), 2, BigInt(step));
        if (next(500) === 0) reap();
      }
      reap();
      assert.deepEqual(copy.different(), []);
      g.stepped("end");
    });
});
