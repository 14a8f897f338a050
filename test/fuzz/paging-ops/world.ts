import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { CR0, CR4, gpa } from "../../../src/x86";
import { Guest } from "../../kvm/guest";
import type { Outcome, ScriptedVcpu } from "../../kvm/scripted-vcpu";
import { Model } from "./model";
import type { Random } from "./random";

/** RAM: two slots of 2 MiB each. */
export const SLOT_PAGES = 512;
const RAM_PAGES = 2 * SLOT_PAGES;
/** Frames that the random tables and data live in: half of them in each slot. */
export const POOL: readonly number[] = Array.from({ length: 24 }, (_, i) =>
  i < 12 ? 16 + i : SLOT_PAGES + 16 + i - 12,
);
/** CR3 is one of these. */
export const ROOTS: readonly number[] = [POOL[0]!, POOL[1]!, POOL[12]!];
/** Frames no slot has. */
export const HOLES: readonly number[] = [0x900, 0xd0000];
/** The kernel's tables, outside the pool: they map all RAM at `KERNEL`, for the supervisor. */
const KERNEL_TABLES = 1;
export const KERNEL = 0xffff800000000000n;
const KERNEL_INDEX = 256;
/** Entries of a table that are ever used, at any level. */
export const INDEXES: readonly number[] = [0, 1, 2, 5];

const P_W_A_D = 0x63n;
const LARGE = 0x80n;

/** Every user address the tables can map: a page of each combination of two entries per level, four at the last. */
export const ADDRESSES: readonly bigint[] = [0, 1].flatMap((l4) =>
  [0, 1].flatMap((l3) =>
    [0, 1].flatMap((l2) =>
      INDEXES.map(
        (l1) =>
          (BigInt(l4) << 39n) | (BigInt(l3) << 30n) | (BigInt(l2) << 21n) | (BigInt(l1) << 12n),
      ),
    ),
  ),
);

/** The same guest twice: under the hypervisor, and on the plain machine. */
export class World {
  readonly guest: Guest;
  readonly model = new Model(RAM_PAGES);
  readonly vcpus: readonly ScriptedVcpu[];
  /** Slot 1: where it is now, or undefined. */
  movable: { base: number; readonly: boolean; logs: boolean } | undefined;

  constructor(random: Random) {
    // A small limit on shadow pages now and then makes room-making part of the run.
    this.guest = new Guest({ pages: RAM_PAGES, mmuPages: 0x100 });
    const { guest } = this;
    guest.log.length = 0;
    guest.setSlot(0, 0, 0, GUEST_HVA);
    guest.setSlot(0, 0, SLOT_PAGES, GUEST_HVA);
    this.model.slots.push({ id: 0, base: 0, pages: SLOT_PAGES, backing: 0, readonly: false });
    this.createMovable(SLOT_PAGES, false);
    guest.vm.core.state.maxPages = random.u32() % 3 === 0 ? 40 : 200;
    this.buildKernel(random.u32() % 2 === 0);
    this.vcpus = [guest.first, guest.addVcpu()];
    for (const one of this.vcpus) {
      const sizes = [0, 1, 16, Number.POSITIVE_INFINITY];
      one.cpu.tlbSize = sizes[random.u32() % sizes.length]!;
      one.cpu.cr3 = BigInt(ROOTS[0]! * 4096);
      one.vcpu.enter();
    }
  }

  /** The kernel's map of RAM, with 2M or 4K pages, and its entry in every root. */
  private buildKernel(large: boolean): void {
    const table = (n: number): number => (KERNEL_TABLES + n) * 4096;
    const link = (at: number, frame: number): void =>
      this.plant(at, BigInt(frame * 4096) | P_W_A_D);
    for (const root of ROOTS) link(root * 4096 + 8 * KERNEL_INDEX, KERNEL_TABLES);
    link(table(0), KERNEL_TABLES + 1);
    for (let half = 0; half < 2; half++) {
      const at = table(1) + 8 * half;
      if (large) this.plant(at, BigInt(half * SLOT_PAGES * 4096) | P_W_A_D | LARGE);
      else {
        link(at, KERNEL_TABLES + 2 + half);
        for (let i = 0; i < SLOT_PAGES; i++) link(table(2 + half) + 8 * i, half * SLOT_PAGES + i);
      }
    }
  }

  /** Puts an entry into both memories before anything runs. */
  private plant(at: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.guest.vm.memory.write(gpa(at), bytes);
    this.model.bytes.set(bytes, this.model.offsetOf(Math.floor(at / 4096)) + (at % 4096));
  }

  createMovable(base: number, readonly: boolean): void {
    const flags = readonly ? 2 : 0;
    const made = this.guest.setSlot(1, base, SLOT_PAGES, GUEST_HVA + SLOT_PAGES * 4096, flags);
    assert.equal(made, "create");
    this.model.slots.push({ id: 1, base, pages: SLOT_PAGES, backing: SLOT_PAGES, readonly });
    this.movable = { base, readonly, logs: false };
  }
  forgetMovable(): void {
    const at = this.model.slots.findIndex((slot) => slot.id === 1);
    this.model.slots.splice(at, 1);
    this.movable = undefined;
  }

  /** One access on both sides; they must agree. */
  access(one: ScriptedVcpu, cpl: number, va: bigint, kind: number, value: bigint): Outcome {
    const expected = this.model.access(one.cpu, cpl, va, kind, value);
    const got = one.access(cpl, va, kind, value);
    assert.deepEqual(comparable(got), comparable(expected), describe(cpl, va, kind));
    return expected;
  }
  /** The same through the hypervisor's emulator. */
  emulated(one: ScriptedVcpu, cpl: number, va: bigint, kind: number, value: bigint): void {
    const expected = this.model.access(one.cpu, cpl, va, kind, value);
    one.cpu.cpl = cpl;
    const got = one.emulated(va, kind | (cpl === 3 ? 4 : 0), value);
    assert.deepEqual(comparable(got), comparable(expected), `emulated ${describe(cpl, va, kind)}`);
  }

  /** All of guest memory, and the log of dirty frames: equal on both sides. */
  compareMemory(): void {
    const { model, guest } = this;
    for (const slot of model.slots)
      for (let i = 0; i < slot.pages; i++) {
        const at = gpa((slot.base + i) * 4096);
        const bytes = guest.vm.memory.peek(at, 4096);
        // Not resident: never touched, or swapped out.
        if (bytes.length === 0) continue;
        const offset = (slot.backing + i) * 4096;
        const expected = model.bytes.subarray(offset, offset + 4096);
        if (Buffer.compare(bytes, expected) !== 0) assert.fail(difference(at, bytes, expected));
      }
  }
  /** Every frame written since the last call is in the log that KVM gives. */
  compareDirtyLog(): void {
    const { movable } = this;
    if (!movable?.logs) return;
    const log = this.guest.vm.getDirtyLog(1);
    assert.ok(log instanceof Uint32Array);
    for (const frame of this.model.written) {
      const bit = frame - movable.base;
      if (bit < 0 || bit >= SLOT_PAGES) continue;
      assert.ok(
        (log[bit >> 5]! >>> (bit & 31)) & 1,
        `gfn 0x${frame.toString(16)} is missing in the dirty log`,
      );
    }
    this.model.written.clear();
  }
  checkInvariants(): void {
    for (const one of this.vcpus) one.vcpu.enter();
    for (const one of this.vcpus) assert.deepEqual(this.guest.vm.check(one.vcpu), []);
  }
}

const comparable = (outcome: Outcome): Outcome =>
  outcome.kind === "ok" ? { ...outcome, emulated: false } : outcome;

const describe = (cpl: number, va: bigint, kind: number): string =>
  `${kind & 2 ? "write" : kind & 16 ? "fetch" : "read"} of ${va.toString(16)} at CPL ${cpl}`;

function difference(at: number, got: Uint8Array, expected: Uint8Array): string {
  const i = got.findIndex((byte, k) => byte !== expected[k]) & ~7;
  const word = (bytes: Uint8Array): string =>
    new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(i, true).toString(16);
  return `gpa ${(at + i).toString(16)} holds ${word(got)}, should be ${word(expected)}`;
}

/** Register bits that the runs toggle. */
export const CR0_TOGGLES = [CR0.WP] as const;
export const CR4_TOGGLES = [CR4.SMEP, CR4.SMAP, CR4.PGE] as const;
