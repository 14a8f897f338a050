import assert from "node:assert/strict";
import { GUEST_HVA } from "../../src/host";
import { gfn, hva } from "../../src/x86";
import { checked } from "./checked";
import { Guest } from "./guest";
import { MIB, region } from "./region";
import { touchedGuest } from "./tables";

describe("KVM_SET_USER_MEMORY_REGION", () => {
  it("F-158 creates, changes flags, moves and deletes; the generation tells how often", () => {
    const g = touchedGuest(checked);
    const seen = (outcome: string): [string, bigint] => [outcome, g.vm.generation];
    assert.equal(g.vm.generation, 2n);
    assert.deepEqual(seen(g.setSlot(1, 0x4000, 0x100, GUEST_HVA)), ["create", 4n]);
    assert.deepEqual(seen(g.setSlot(1, 0x4000, 0x100, GUEST_HVA)), ["none", 4n]);
    assert.deepEqual(seen(g.setSlot(1, 0x4000, 0x100, GUEST_HVA, 1)), ["flags", 6n]);
    assert.deepEqual(seen(g.setSlot(1, 0x8000, 0x100, GUEST_HVA, 1)), ["move", 10n]);
    assert.deepEqual(seen(g.setSlot(1, 0, 0, GUEST_HVA)), ["delete", 14n]);
    assert.equal(g.read(3, 0x5000).kind, "ok");
  });

  it("F-038 two slots may share host memory: what is written by one gpa is read by the other", () => {
    const g = touchedGuest(checked);
    assert.equal(g.setSlot(1, 0x4000, 0x100, GUEST_HVA), "create");
    g.entry(0x4040, 0x4009067);
    g.write(3, 0x5000, 0x1234);
    assert.deepEqual(g.read(3, 0x8000), { kind: "ok", value: 0x1234n, emulated: false });
    assert.equal(g.vm.slots[1]?.hvaOf(gfn(0x4009)), g.vm.slots[0]?.hvaOf(gfn(9)));
  });

  it("F-137 F-139 INV-L-02 ragged ends of a slot bar large pages for good", () => {
    const g = new Guest();
    g.process.mmap(hva(0x7e0000000000), 4 * MIB, { kind: "anonymous", writable: true });
    g.setSlot(1, 0x4100, 0x300, 0x7e0000100000);
    const [large, huge] = g.vm.slots[1]!.arch.lpage;
    assert.deepEqual([...large], [1, 0]);
    assert.deepEqual([...huge], [1]);
  });

  it("F-162 memory that is not aligned alike in both spaces bars them everywhere", () => {
    const g = new Guest();
    g.process.mmap(hva(0x7e0000000000), 8 * MIB, { kind: "anonymous", writable: true });
    g.setSlot(1, 0x4000, 0x600, 0x7e0000001000);
    assert.deepEqual([...g.vm.slots[1]!.arch.lpage[0]], [1, 1, 1]);
  });

  it("F-162 and says so, where a page could have been large", () => {
    const g = new Guest();
    g.process.mmap(hva(0x7e0000000000), 8 * MIB, { kind: "anonymous", writable: true });
    const adviceOn = (memorySize: number, userspaceAddr: number): string | undefined => {
      const outcome = g.vm.setMemoryRegion(
        region({ memorySize, userspaceAddr: hva(userspaceAddr) }),
      );
      assert.ok(outcome.kind === "done");
      g.setSlot(1, 0, 0, 0);
      return outcome.advice;
    };
    assert.match(
      adviceOn(4 * MIB, 0x7e0000001000) ?? "",
      /slot 1: gpa 0x4000000 and hva 0x7e0000001000 differ in their lower 21 bits.*align both alike/,
    );
    assert.equal(adviceOn(4 * MIB, 0x7e0000000000), undefined);
    assert.equal(adviceOn(MIB, 0x7e0000001000), undefined);
  });

  it("F-165 memory is the caller's, never KVM's: a slot over nothing stays without", () => {
    const g = touchedGuest(checked).entry(0x4040, 0x4000067);
    g.setSlot(1, 0x4000, 0x100, 0x7e0000000000);
    g.first.oneTry = true;
    g.read(3, 0x8000);
    assert.match(g.vcpu.failure ?? "", /hva 0x7e0000000000 behind a memslot is not mapped/);
  });

  it("F-003 a gpa outside every slot is never memory", () => {
    const g = touchedGuest(checked).entry(0x4040, 0x1000067);
    assert.deepEqual(g.read(3, 0x8000), { kind: "device", gpa: 0x1000000 });
  });

  it("a read-only slot is read natively and written as a device", () => {
    const g = touchedGuest(checked);
    g.process.mmap(hva(0x7e0000000000), MIB, { kind: "anonymous", writable: true });
    g.setSlot(1, 0x4000, 0x100, 0x7e0000000000, 2);
    g.entry(0x4040, 0x4000067);
    assert.equal(g.read(3, 0x8000).kind, "ok");
    const { exits } = g.vcpu.mmu.stats;
    g.read(3, 0x8000);
    assert.equal(g.vcpu.mmu.stats.exits, exits);
    assert.deepEqual(g.write(3, 0x8008, 1), { kind: "device", gpa: 0x4000008 });
  });

  it("the limit on shadow pages follows the size of memory: 2 %, at least 64", () => {
    const g = new Guest();
    assert.equal(g.vm.maxPages, 0x1000 / 50 - ((0x1000 / 50) % 1));
    g.setSlot(0, 0, 0, GUEST_HVA);
    assert.equal(g.vm.maxPages, 64);
  });
});
