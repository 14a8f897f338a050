import assert from "node:assert/strict";
import { GUEST_HVA, MARK, performHostAction } from "../../../src/host";
import { type Flaw, MODERN, type Profile, spteFormat, withFlaws } from "../../../src/kvm";
import { writeProtectGfn } from "../../../src/kvm/mmu/rmap";
import { gfn, hva, type TraceEvent } from "../../../src/x86";
import { checked } from "../checked";
import { Guest, type GuestOptions } from "../guest";
import type { ScriptedVcpu } from "../scripted-vcpu";

const LOG_DIRTY = 1;
const PAGE = 0x9000;
const GFN = 9;
/** A second page that is not shadowed and whose frame the races give away. */
const OTHER_GFN = 0xc;

const hvaOf = (gfn: number) => hva(GUEST_HVA + gfn * 4096);

/** A guest without paging, gpa 0x9000 written once, then its slot logged: the leaf has lost W alone. */
function loggedGuest(profile: Profile = MODERN): Guest {
  // Flaws break invariants, which is what they are for.
  const options = profile.flaws.size === 0 ? checked : {};
  const g = new Guest({ ...options, profile }).start("none", 0);
  g.write(0, PAGE, 1);
  assert.equal(g.setSlot(0, 0, 0x1000, GUEST_HVA, LOG_DIRTY), "flags");
  g.log.length = 0;
  return g;
}

/** A second vCPU that does not page either. */
function idleVcpu(g: Guest): ScriptedVcpu {
  const vcpu = g.addVcpu();
  Object.assign(vcpu.cpu, { cr0: 0n, cr4: 0n, efer: 0n, cr3: 0n });
  vcpu.vcpu.restored();
  vcpu.vcpu.enter();
  return vcpu;
}

/** Calls `act` once, when the named point is reached. */
function at(g: Guest, point: string, act: () => void): void {
  const stop = g.trace.on("point", (event: TraceEvent) => {
    if (event.fields.point !== point) return;
    stop();
    act();
  });
}

const dirtyFrames = (g: Guest): number[] => {
  const log = g.vm.getDirtyLog(0);
  assert.ok(log instanceof Uint32Array);
  return [...log].flatMap((word, i) =>
    Array.from({ length: 32 }, (_, bit) => (word & (1 << bit) ? 32 * i + bit : -1)).filter(
      (frame) => frame >= 0,
    ),
  );
};

const FAST = ["fast_page_fault", "kvm_mmu_set_spte", "kvm_mmu_spte_requested"];

describe("the fast page fault", () => {
  it("F-100 F-147 F-150 gives W back without the lock, and logs the page", () => {
    const g = loggedGuest();
    assert.deepEqual(dirtyFrames(g), []);
    assert.equal(g.write(0, PAGE, 2).kind, "ok");
    const [line, ...rest] = g.events(FAST);
    assert.match(
      line ?? "",
      /^fast_page_fault: vcpu 0 gva 9000 error_code P\|W sptep \w+ old 0x100009e65 new 100009e67 spurious 0 fixed 1$/,
    );
    assert.deepEqual(rest, []);
    assert.deepEqual([g.vcpu.mmu.stats.pf_fast, dirtyFrames(g)], [1, [GFN]]);
  });

  it("F-147 leaves a missing translation to the slow path", () => {
    const g = loggedGuest();
    g.write(0, 0xa000, 1);
    assert.deepEqual(
      g.events(FAST).map((line) => line.split(":")[0]),
      ["kvm_mmu_spte_requested", "kvm_mmu_set_spte"],
    );
  });

  it("is spurious for a second vCPU that comes too late", () => {
    const g = loggedGuest();
    const second = idleVcpu(g);
    at(g, "R1", () => second.access(0, BigInt(PAGE), 2, 3n));
    g.write(0, PAGE, 2);
    const ends = g.events(["fast_page_fault"]).map((line) => line.slice(-19));
    assert.deepEqual(ends, ["spurious 0 fixed 1".padStart(19), "spurious 1 fixed 0".padStart(19)]);
    assert.deepEqual(dirtyFrames(g), [GFN]);
  });

  it("F-150 an entry that changes before the exchange keeps its new value", () => {
    const g = loggedGuest();
    at(g, "R3", () => performHostAction(g.process, g.trace, "swap-out", hvaOf(GFN)));
    g.write(0, PAGE, 0x1234);
    assert.equal(g.read(0, PAGE).kind, "ok");
    const [lost] = g.events(["fast_page_fault"]);
    assert.match(lost ?? "", /spurious 0 fixed 0$/);
    assert.equal(g.entryAt(PAGE), 0x1234n);
    assert.deepEqual(dirtyFrames(g), [GFN]);
  });

  it("never makes a guest table writable: mmu-writable is clear there", () => {
    const g = new Guest(checked).entry(0x1000, 0x2007).entry(0x2000, 0x3007);
    g.entry(0x3000, 0x4007).entry(0x4028, 0x9067).entry(0x4030, 0x3067).enter();
    g.write(0, 0x5000, 1);
    g.log.length = 0;
    assert.deepEqual(g.write(0, 0x6008, 0).kind === "ok" && g.events(["fast_page_fault"]), []);
  });
});

describe("the three races of the locking text", () => {
  /** Paging guest: gva 0x5000 → gfn 9, the slot logged. */
  function indirect(profile: Profile, options: GuestOptions = checked): Guest {
    const g = new Guest({ ...options, profile });
    g.entry(0x1000, 0x2007).entry(0x2000, 0x3007).entry(0x3000, 0x4007).entry(0x4028, 0x9067);
    g.enter();
    g.write(0, 0x5000, 1);
    g.setSlot(0, 0, 0x1000, GUEST_HVA, LOG_DIRTY);
    return g;
  }

  /** G15-A: the frame goes, comes back for another gfn, and the entry looks as it did. */
  function frameComesBack(g: Guest): void {
    const second = g.addVcpu();
    second.vcpu.enter();
    // No other frame is free, so the next page gets the one that was given up.
    while (g.host.allocateSpare("guest") !== undefined);
    at(g, "R1", () => {
      const old = g.process.translate(hvaOf(GFN));
      performHostAction(g.process, g.trace, "swap-out", hvaOf(GFN));
      g.process.faultIn(hvaOf(OTHER_GFN), true);
      assert.equal(g.process.translate(hvaOf(OTHER_GFN)), old);
      g.entry(0x4028, 0xc067);
      g.invlpg(0x5000);
      second.access(0, 0x5000n, 0, 0n);
      // Read while the slot logs: writable in the end, not yet.
      g.vm.getDirtyLog(0);
    });
    g.write(0, 0x5000, 0x77);
  }

  it("G15-A F-151 race 1: an indirect entry that came back is written without being logged", () => {
    const g = indirect(withFlaws(MODERN, "indirect-fast-path"), {});
    frameComesBack(g);
    assert.match(g.vm.check().join(), /INV-D-02: .* gfn 0xc is clean/);
    assert.equal(g.entryAt(OTHER_GFN * 4096), 0x77n);
    assert.deepEqual(dirtyFrames(g), [GFN]);
  });

  it("G15-A F-151 F-152 race 1 does not happen: indirect pages take the slow path", () => {
    const g = indirect(MODERN);
    g.write(0, 0x5000, 0x77);
    assert.deepEqual(g.events(["fast_page_fault"]), []);
    assert.deepEqual(dirtyFrames(g).includes(GFN), true);
  });

  /** G15-D: while an entry is being cleared, the fast path sets W and the hardware D. */
  function clearedMeanwhile(profile: Profile): Guest {
    const g = loggedGuest(profile);
    g.vm.getDirtyLog(0);
    const mapping = g.process.mappingAt(hvaOf(GFN))!;
    mapping.clear(mapping.indexOf(hvaOf(GFN)), MARK.dirty);
    const second = idleVcpu(g);
    // Hardware has not set D in this entry yet.
    const [sptep] = g.vm.core.state.slotSets[0]!.slots.map((slot) => slot.arch.rmap[0][GFN]);
    assert.ok(typeof sptep === "number");
    g.vm.words[2 * sptep]! &= ~0x40;
    at(g, "R2", () => {
      assert.equal(second.access(0, BigInt(PAGE), 2, 5n).kind, "ok");
    });
    g.process.notifiers.around({ start: hvaOf(GFN), end: hvaOf(GFN + 1) }, () => undefined);
    return g;
  }
  const hostDirty = (g: Guest): boolean => g.process.page(hvaOf(GFN))?.dirty === true;

  it("G15-D F-153 race 2: with plain stores the dirty bit is lost", () => {
    assert.equal(hostDirty(clearedMeanwhile(withFlaws(MODERN, "plain-stores"))), false);
  });
  it("G15-D F-153 race 2 does not happen: the exchange returns the bit", () => {
    assert.equal(hostDirty(clearedMeanwhile(MODERN)), true);
  });

  /**
   * G15-T under the rule of 2012, which looks at W: the frame becomes a guest table, and the fast path
   * sets W just before it is taken. Can the second vCPU still write through its TLB?
   */
  function protectedMeanwhile(...flaws: readonly Flaw[]): boolean {
    const g = loggedGuest(withFlaws({ ...MODERN, era: "2012", fastPageFault: "once" }, ...flaws));
    const second = idleVcpu(g);
    at(g, "R2", () => void second.access(0, BigInt(PAGE), 2, 5n));
    g.log.length = 0;
    const { state } = g.vm.core;
    const [slot] = state.slotSets[0]!.slots;
    if (writeProtectGfn(state, slot!, gfn(GFN))) state.flushRemoteTlbs("test");
    return [...second.cpu.tlbEntries()].some((entry) => entry.writable);
  }

  it("G15-T F-155 race 3: with plain stores a writable translation outlives the protection", () => {
    assert.equal(protectedMeanwhile("plain-stores"), true);
  });
  it("G15-T F-155 race 3 does not happen: the exchange sees W, and TLBs are flushed", () => {
    assert.equal(protectedMeanwhile(), false);
  });
});

describe("access tracking", () => {
  it("F-062 without A bits use shows when the rights are taken away, and they come back", () => {
    const f = spteFormat("ept", "modern", 46);
    const [lo, hi] = [0x9b77, 0x86100001];
    assert.ok(f.isYoung(lo, hi) && f.isVolatile(lo, hi));
    const [oldLo, oldHi] = [f.trackedLo(lo), f.trackedHi(lo, hi)];
    assert.ok(f.isAccessTracked(oldLo, oldHi) && !f.isYoung(oldLo, oldHi));
    assert.ok(f.isPresent(oldLo, oldHi) && f.isMmuWritable(oldLo, oldHi));
    assert.equal(f.restoredLo(oldLo, oldHi), lo & ~2);
    assert.equal(f.restoredHi(oldHi) >>> 0, hi);
  });
});
