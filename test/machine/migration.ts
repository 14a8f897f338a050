import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { MANUAL_PROTECT, type MemorySlot, SLOT_FLAG } from "../../src/kvm";
import type { Machine, MachineOptions } from "../../src/machine";
import { gfn, gpaOf, PAGE_SIZE } from "../../src/x86";
import { machineWith } from "./guest-code";

/** A guest that forks and execs without end; rounds are counted in the two words after its first jump. */
function forkingGuest(): Uint8Array {
  const image = new Uint8Array(readFileSync("test/bench/images/fork-64.bin"));
  new DataView(image.buffer).setUint32(8, 1_000_000, true);
  return image;
}
const RAM = 40 * 2 ** 20;
/** Instructions until the second round, whatever the guest does; each later round has half of the last. */
const FIRST_SLICE = 200_000;
/** So few pages are left for the stop that the guest does not notice. */
const FEW = 24;
const MOST_ROUNDS = 20;

/** The other end of a migration. */
class Destination {
  private readonly pages = new Map<number, Uint8Array>();
  sent = 0;

  constructor(private readonly source: Machine) {}

  take(frames: Iterable<number>): void {
    for (const frame of frames) {
      this.pages.set(frame, this.contents(frame));
      this.sent++;
    }
  }
  different(slot: MemorySlot): number[] {
    return framesOf(slot).filter(
      (frame) =>
        Buffer.compare(this.pages.get(frame) ?? new Uint8Array(0), this.contents(frame)) !== 0,
    );
  }
  private contents(frame: number): Uint8Array {
    return this.source.gpa.read(gpaOf(gfn(frame)), PAGE_SIZE).slice();
  }
}

const framesOf = ({ baseGfn, npages }: MemorySlot): number[] =>
  Array.from({ length: npages }, (_, i) => baseGfn + i);

function setLogging(machine: Machine, { id, baseGfn, npages, userspaceAddr }: MemorySlot): void {
  const outcome = machine.vm!.setMemoryRegion({
    slot: id,
    flags: SLOT_FLAG.logDirty,
    guestPhysAddr: gpaOf(baseGfn),
    memorySize: npages * PAGE_SIZE,
    userspaceAddr,
  });
  assert.equal(outcome.kind, "done");
}

/** What a VMM does in one round: the bits, and where protection is manual their clearing; then the pages. */
function dirtyFrames(machine: Machine, { id, baseGfn, npages }: MemorySlot, manual: boolean) {
  const vm = machine.vm!;
  const bitmap = vm.getDirtyLog(id);
  assert.ok(bitmap instanceof Uint32Array);
  if (manual)
    assert.equal(vm.clearDirtyLog({ slot: id, firstPage: 0, numPages: npages, bitmap }), undefined);
  const frames: number[] = [];
  for (const [i, word] of bitmap.entries())
    for (let rest = word; rest !== 0; rest &= rest - 1)
      frames.push(baseGfn + 32 * i + 31 - Math.clz32(rest & -rest));
  return frames;
}

/**
 * Copies a running guest round by round until few pages are left, stops it, copies those, and compares
 * every byte. `protect`: `MANUAL_PROTECT` bits.
 */
export function migrate(options: Partial<MachineOptions>, protect = 0): void {
  const machine = machineWith(forkingGuest(), {
    imageName: "fork.bin",
    memory: RAM,
    ...options,
  });
  machine.run(FIRST_SLICE);
  const vm = machine.vm!;
  const slot = vm.slots.find((each) => each.baseGfn === 0)!;
  if (protect) assert.equal(vm.setManualProtect(protect), undefined);
  setLogging(machine, slot);
  const destination = new Destination(machine);
  if (!(protect & MANUAL_PROTECT.initiallySet)) destination.take(framesOf(slot));
  let slice = FIRST_SLICE;
  let rounds = 0;
  for (let left = Number.POSITIVE_INFINITY; left > FEW; rounds++) {
    assert.ok(rounds < MOST_ROUNDS, `${left} pages are still dirty after ${rounds} rounds`);
    assert.deepEqual(machine.run(slice), { kind: "limit" });
    const frames = dirtyFrames(machine, slot, protect !== 0);
    destination.take(frames);
    left = frames.length;
    slice = Math.ceil(slice / 2);
  }
  assert.ok(rounds > 2, "the guest runs while it is copied");
  machine.run(slice);
  // Stopped: what is in the log now is the rest.
  destination.take(dirtyFrames(machine, slot, protect !== 0));
  assert.deepEqual(destination.different(slot), []);
  assert.deepEqual(vm.check(vm.vcpus[0]), []);
  assert.ok(destination.sent < 2 * slot.npages, "most pages were sent once");
}
