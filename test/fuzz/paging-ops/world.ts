import assert from "node:assert/strict";
import { checkEntry } from "../../../src/kvm/mmu/invariants/check";
import { BareSubject } from "./bare-subject";
import { DirtyOracle } from "./dirty-oracle";
import { HypervisorSubject } from "./hypervisor-subject";
import { buildKernel } from "./kernel";
import { KERNEL_TABLES, RAM_PAGES, ROOTS, SLOT_PAGES } from "./layout";
import type { Legal } from "./legal-outcomes";
import { PlainMemory, type PlainSlot } from "./plain-memory";
import { PlainVcpu } from "./plain-vcpu";
import { switchMode } from "./registers";
import type { Setup } from "./setup";
import type { Subject } from "./subject";
import { markedBits, productWord } from "./words";

const LOGS = 1;

/** The same guest twice: as the product runs it, and as the manual says it must be. */
export class World {
  readonly subject: Subject;
  readonly memory: PlainMemory;
  readonly vcpus: readonly PlainVcpu[];
  readonly dirty: DirtyOracle;
  /** Outcomes legal for the accesses that are under way, outermost first. */
  readonly underWay: (readonly Legal[])[] = [];
  /** The step taken now is in the middle of another actor's. */
  interrupting = false;

  constructor(readonly setup: Setup) {
    this.memory = new PlainMemory(RAM_PAGES, setup.mmu === "npt");
    this.subject = setup.mmu === "none" ? new BareSubject(setup) : new HypervisorSubject(setup);
    this.dirty = new DirtyOracle(this.subject, this.memory);
    this.vcpus = setup.tlb.map(() => new PlainVcpu(this.memory, setup));
    for (const id of [0, 1])
      this.setSlot({
        id,
        base: id * SLOT_PAGES,
        pages: SLOT_PAGES,
        backing: id * SLOT_PAGES,
        flags: 0,
      });
    buildKernel(setup.largeKernel, this.memory.bytes);
    for (const page of [...ROOTS, ...KERNEL_TABLES]) this.subject.plant(page, this.pageOf(page));
    const { vm } = this.subject;
    if (vm) vm.core.state.maxPages = setup.maxPages;
    this.vcpus.forEach((_, vcpu) => {
      switchMode(this, vcpu, setup.mode, BigInt(ROOTS[0]! * 4096));
    });
  }

  /** The bits that the accesses under way have set so far are there for everybody. */
  settleUnderWay(): void {
    for (const outcomes of this.underWay)
      for (const [word, bits] of markedBits(this, outcomes))
        this.memory.markWord(word, productWord(this, word) & bits);
  }

  private pageOf(page: number): Uint8Array {
    return this.memory.bytes.subarray(page * 4096, (page + 1) * 4096);
  }

  /** Changes the slots on both sides. Nothing happens where the change is none the API allows. */
  setSlot(slot: PlainSlot): void {
    const old = this.memory.slotById(slot.id);
    const change = this.wantedChange(old, slot);
    assert.equal(this.subject.setSlot(slot), change, `slot ${slot.id}`);
    if (change.startsWith("E") || change === "none") return;
    const others = this.memory.slots.filter(({ id }) => id !== slot.id);
    this.memory.setSlots(change === "delete" ? others : [...others, slot]);
    if (change === "delete" || change === "move") for (const vcpu of this.vcpus) vcpu.flushAll();
    if (change === "delete" || !(slot.flags & LOGS)) this.dirty.stop(slot.id);
    else this.dirty.start(slot);
  }

  /** What KVM_SET_USER_MEMORY_REGION answers (api.rst 4.35). */
  private wantedChange(old: PlainSlot | undefined, slot: PlainSlot): string {
    if (slot.pages === 0) return old ? "delete" : "EINVAL";
    const overlaps = this.memory.slots.some(
      (other) =>
        other.id !== slot.id &&
        other.base < slot.base + slot.pages &&
        slot.base < other.base + other.pages,
    );
    if (!old) return overlaps ? "EEXIST" : "create";
    const fixed = old.pages !== slot.pages || old.backing !== slot.backing;
    if (fixed || (old.flags ^ slot.flags) & ~LOGS) return "EINVAL";
    if (old.base !== slot.base) return overlaps ? "EEXIST" : "move";
    return old.flags !== slot.flags ? "flags" : "none";
  }

  /** Every page of RAM, wherever the host keeps it, against the oracle's. */
  compareMemory(): void {
    for (let page = 0; page < RAM_PAGES; page++) {
      const got = this.subject.contents(page);
      const expected = this.pageOf(page);
      if (Buffer.compare(got, expected) !== 0) assert.fail(difference(page, got, expected));
    }
  }

  /** Every invariant: of each vCPU those that hold as it enters, which another's entry may end. */
  checkInvariants(): void {
    const { vm } = this.subject;
    if (!vm) return;
    for (const vcpu of vm.vcpus) {
      vcpu.enter();
      assert.deepEqual(checkEntry(vm.core.state, vcpu.mmu), []);
    }
    assert.deepEqual(vm.check(), []);
    assert.deepEqual(this.subject.checkHost(), []);
  }
}

function difference(page: number, got: Uint8Array, expected: Uint8Array): string {
  const i = got.findIndex((byte, k) => byte !== expected[k]) & ~7;
  const word = (bytes: Uint8Array): string =>
    new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(i, true).toString(16);
  const at = (page * 4096 + i).toString(16);
  return `RAM at ${at} holds ${word(got)}, should be ${word(expected)}`;
}
