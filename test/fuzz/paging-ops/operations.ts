import assert from "node:assert/strict";
import { GUEST_HVA, performHostAction } from "../../../src/host";
import { ACCESS, CR0, EFER, hva } from "../../../src/x86";
import type { Outcome, ScriptedVcpu } from "../../kvm/scripted-vcpu";
import type { Dice } from "./random";
import {
  ADDRESSES,
  CR0_TOGGLES,
  CR4_TOGGLES,
  HOLES,
  INDEXES,
  KERNEL,
  POOL,
  ROOTS,
  SLOT_PAGES,
  type World,
} from "./world";

/** Does one thing to both guests. */
export type Operation = (world: World, dice: Dice) => void;

/** An entry that no user address uses: data, whatever the page is. */
const DATA_INDEX = 300;

const KINDS = [0, ACCESS.write, ACCESS.fetch] as const;
const ALL_FLAGS = [0x1n, 0x2n, 0x4n, 0x20n, 0x40n, 0x80n, 0x100n, 1n << 63n];
const NX = 1n << 63n;

const vcpuOf = (world: World, dice: Dice): ScriptedVcpu => dice.pick(world.vcpus);
/** A frame number as an entry may hold it: mostly the pool, sometimes elsewhere. */
const frameOf = (dice: Dice): number =>
  dice.oneIn(12) ? dice.pick(HOLES) : dice.oneIn(12) ? dice.pick([0, SLOT_PAGES]) : dice.pick(POOL);

/** Entries that mostly work, with every flag changed now and then. */
function randomEntry(dice: Dice): bigint {
  let entry = (BigInt(frameOf(dice)) << 12n) | 0x7n;
  if (!dice.oneIn(3)) entry |= 0x60n;
  for (const flag of ALL_FLAGS) if (dice.oneIn(9)) entry ^= flag;
  if (dice.oneIn(40)) entry |= dice.pick([1n << 51n, 1n << 46n, 1n << 13n]);
  return dice.oneIn(15) ? 0n : entry;
}

/** User addresses whose translation on this vCPU goes through the entry at `at`. */
function affected(world: World, one: ScriptedVcpu, at: number): bigint[] {
  if (!(one.cpu.cr0 & CR0.PG)) return [];
  return ADDRESSES.filter((va) => world.model.path(one.cpu, va).includes(at));
}

/** No translation can be cached for what was not there, and what only gains rights is looked up again. */
function needsNoFlush(old: bigint, now: bigint): boolean {
  if (!(old & 1n)) return true;
  const rights = (entry: bigint): bigint => (entry & 0x66n) | (entry & NX ? 0n : 8n);
  const same = ((old ^ now) & ~(NX | 0x66n)) === 0n;
  return same && (rights(old) & ~rights(now)) === 0n;
}

/**
 * A store that may change an entry, at the gpa `at`, done by `store`. Every vCPU then flushes what the
 * manual says it must (SDM 3A 4.10.4), before it looks again; or looks once too early on purpose.
 */
function changing(world: World, dice: Dice, at: number, store: () => void): void {
  const before = world.vcpus.map((one) => affected(world, one, at));
  const old = world.model.entry(at);
  const early = dice.pick(ADDRESSES);
  const stale = world.vcpus.map((one) => passiveRead(world, one, early));
  store();
  const now = world.model.entry(at);
  if (old === now || (needsNoFlush(old, now) && !dice.oneIn(4))) return;
  world.vcpus.forEach((one, i) => {
    const peeks = dice.oneIn(3) && (one.cpu.cr0 & CR0.PG) !== 0n;
    if (peeks)
      lookEarly(world, one, early, [stale[i]!, { kind: "ok", value: now, emulated: false }]);
    const all = new Set([...before[i]!, ...affected(world, one, at)]);
    if (all.size > 3 || dice.oneIn(5)) one.movCr3(one.cpu.cr3, false);
    else for (const va of all) one.invlpg(va);
    if (peeks) world.access(one, 0, early, 0, 0n);
  });
}

/** What a supervisor read would give, with no A bit set. */
function passiveRead(world: World, one: ScriptedVcpu, va: bigint): Outcome {
  const { model } = world;
  const path = model.path(one.cpu, va);
  const kept = path.map((at) => model.entry(at));
  const marks = new Set(model.written);
  const outcome = model.access(one.cpu, 0, va, 0, 0n);
  path.forEach((at, i) => {
    const offset = model.offsetOf(Math.floor(at / 4096));
    if (offset >= 0 && at >= 0)
      new DataView(model.bytes.buffer).setBigUint64(offset + (at % 4096), kept[i]!, true);
  });
  for (const frame of model.written) if (!marks.has(frame)) model.written.delete(frame);
  return outcome;
}

/** A read before the flush may see the old translation or the new one, and nothing else (INV-T-05). */
function lookEarly(world: World, one: ScriptedVcpu, va: bigint, old: readonly Outcome[]): void {
  const may = [...old, passiveRead(world, one, va)].map(asText);
  const got = asText(one.access(0, va, 0, 0n));
  assert.ok(may.includes(got), `stale read of ${va.toString(16)}: ${got} is none of ${may}`);
}
const asText = (outcome: Outcome): string =>
  JSON.stringify(outcome.kind === "ok" ? outcome.value : outcome, text);
const text = (_key: string, value: unknown): unknown =>
  typeof value === "bigint" ? value.toString(16) : value;

/** Stores through the kernel's map, which every root has. */
function kernelStore(world: World, dice: Dice, at: number, value: bigint): void {
  const one = vcpuOf(world, dice);
  changing(world, dice, at, () => {
    if (one.cpu.cr0 & CR0.PG) world.access(one, 0, KERNEL + BigInt(at), ACCESS.write, value);
    else world.access(one, 0, BigInt(at), ACCESS.write, value);
  });
}

const writeEntry: Operation = (world, dice) => {
  const at = dice.pick(POOL) * 4096 + 8 * dice.pick(INDEXES);
  kernelStore(world, dice, at, randomEntry(dice));
};

const changeFlags: Operation = (world, dice) => {
  const at = dice.pick(POOL) * 4096 + 8 * dice.pick(INDEXES);
  kernelStore(world, dice, at, world.model.entry(at) ^ dice.pick(ALL_FLAGS));
};

/** Makes one user address work under the present root, level by level. */
const map: Operation = (world, dice) => {
  const one = vcpuOf(world, dice);
  if (!(one.cpu.cr0 & CR0.PG)) return;
  const va = dice.pick(ADDRESSES);
  const [last] = world.model.path(one.cpu, va).slice(-1);
  if (last === undefined || world.model.offsetOf(Math.floor(last / 4096)) < 0) return;
  const entry = (BigInt(dice.pick(POOL)) << 12n) | (dice.oneIn(3) ? 0x7n : 0x67n);
  changing(world, dice, last, () => {
    world.access(one, 0, KERNEL + BigInt(last), ACCESS.write, entry);
  });
};

/** Makes a 2M page, now and then one with half its rights. */
const mapLarge: Operation = (world, dice) => {
  const one = vcpuOf(world, dice);
  if (!(one.cpu.cr0 & CR0.PG)) return;
  const directory = world.model.path(one.cpu, dice.pick(ADDRESSES))[2];
  if (directory === undefined || world.model.offsetOf(Math.floor(directory / 4096)) < 0) return;
  const frame = dice.pick([0, SLOT_PAGES]);
  const entry = BigInt(frame * 4096) | dice.pick([0xe7n, 0xa7n, 0xe5n, 0xe3n, 0x87n, 0xe7n | NX]);
  changing(world, dice, directory, () => {
    world.access(one, 0, KERNEL + BigInt(directory), ACCESS.write, entry);
  });
};

/** Lets two entries lead to one table or page, as address spaces that share do. */
const share: Operation = (world, dice) => {
  const from = dice.pick(POOL) * 4096 + 8 * dice.pick(INDEXES);
  const to = dice.pick(POOL) * 4096 + 8 * dice.pick(INDEXES);
  kernelStore(
    world,
    dice,
    to,
    world.model.entry(from) ^ (dice.oneIn(4) ? dice.pick(ALL_FLAGS) : 0n),
  );
};

/** Recycles a table as plain data, or the other way round. */
const fill: Operation = (world, dice) => {
  const frame = dice.pick(POOL);
  const keep = ROOTS.includes(frame);
  for (let i = 0; i < 6; i++) {
    const index = keep ? dice.pick(INDEXES) : dice.below(512);
    kernelStore(world, dice, frame * 4096 + 8 * index, dice.oneIn(2) ? 0n : dice.u64() & ~1n);
  }
};

const access: Operation = (world, dice) => {
  const one = vcpuOf(world, dice);
  const paging = (one.cpu.cr0 & CR0.PG) !== 0n;
  const va = paging ? dice.pick(ADDRESSES) : BigInt(frameOf(dice)) << 12n;
  const kind = dice.pick(KINDS);
  const at = va + 8n * BigInt(dice.oneIn(2) ? dice.pick(INDEXES) : 16 + dice.below(480));
  const cpl = dice.oneIn(2) ? 3 : 0;
  if (kind !== ACCESS.write) {
    world.access(one, cpl, at, kind, 0n);
    return;
  }
  const target = world.model.translate(one.cpu, at);
  const value = dice.oneIn(2) ? randomEntry(dice) : dice.u64();
  const emulate = dice.oneIn(8);
  changing(world, dice, target, () => {
    if (emulate) world.emulated(one, cpl, at, kind, value);
    else world.access(one, cpl, at, kind, value);
  });
};

const kernelAccess: Operation = (world, dice) => {
  const one = vcpuOf(world, dice);
  if (!(one.cpu.cr0 & CR0.PG)) return;
  const va = KERNEL + BigInt(dice.pick(POOL) * 4096 + 8 * dice.below(512));
  world.access(one, dice.oneIn(4) ? 3 : 0, va, dice.oneIn(4) ? ACCESS.fetch : 0, 0n);
};

const switchRoot: Operation = (world, dice) => {
  vcpuOf(world, dice).movCr3(BigInt(dice.pick(ROOTS) * 4096), false);
};
const invlpg: Operation = (world, dice) => {
  vcpuOf(world, dice).invlpg(dice.oneIn(10) ? 0x8000_0000_0000_0000n : dice.pick(ADDRESSES));
};
const toggleCr0: Operation = (world, dice) => {
  const one = vcpuOf(world, dice);
  one.movCr0(one.cpu.cr0 ^ dice.pick(CR0_TOGGLES));
};
const toggleCr4: Operation = (world, dice) => {
  const one = vcpuOf(world, dice);
  one.movCr4(one.cpu.cr4 ^ dice.pick(CR4_TOGGLES));
};
const toggleNx: Operation = (world, dice) => {
  const one = vcpuOf(world, dice);
  one.setEfer(one.cpu.efer ^ EFER.NX);
};
const toggleAc: Operation = (world, dice) => {
  const { cpu } = vcpuOf(world, dice);
  cpu.ac = !cpu.ac;
};
const togglePaging: Operation = (world, dice) => {
  const one = vcpuOf(world, dice);
  const on = (one.cpu.cr0 & CR0.PG) === 0n;
  one.cpu.efer = on ? one.cpu.efer | EFER.LMA : one.cpu.efer & ~EFER.LMA;
  one.movCr0(one.cpu.cr0 ^ CR0.PG);
};

/** The host takes a page away between two writes to it: the second must not go to the old frame. */
const hostAction: Operation = (world, dice) => {
  const page = dice.oneIn(4) ? 1 + dice.below(4) : dice.pick(POOL);
  const one = vcpuOf(world, dice);
  const where = BigInt(page * 4096 + 8 * DATA_INDEX);
  const va = one.cpu.cr0 & CR0.PG ? KERNEL + where : where;
  const write = (): Outcome => world.access(one, 0, va, ACCESS.write, dice.u64() & ~1n);
  if (page >= POOL[0]!) write();
  const at = hva(GUEST_HVA + page * 4096);
  const { process, trace } = world.guest;
  performHostAction(process, trace, dice.oneIn(2) ? "swap-out" : "migrate", at);
  if (page >= POOL[0]!) write();
  for (const other of world.vcpus)
    world.access(other, 0, other.cpu.cr0 & CR0.PG ? KERNEL + where : where, 0, 0n);
};
const hostAge: Operation = (world, dice) => {
  const start = hva(GUEST_HVA + dice.pick(POOL) * 4096);
  world.guest.process.notifiers.clearYoung({ start, end: hva(start + 4 * 4096) });
};

/** Slot 1 goes, comes back elsewhere or read-only, moves, or starts and stops logging. */
const changeSlot: Operation = (world, dice) => {
  const { guest, movable } = world;
  const at = GUEST_HVA + SLOT_PAGES * 4096;
  if (!movable) {
    world.createMovable(dice.oneIn(4) ? 2 * SLOT_PAGES + 7 : SLOT_PAGES, dice.oneIn(3));
    return;
  }
  if (dice.oneIn(2)) {
    const logs = !movable.logs;
    const flags = (movable.readonly ? 2 : 0) | (logs ? 1 : 0);
    assert.equal(guest.setSlot(1, movable.base, SLOT_PAGES, at, flags), "flags");
    movable.logs = logs;
    world.model.written.clear();
    return;
  }
  assert.equal(guest.setSlot(1, movable.base, 0, at), "delete");
  world.forgetMovable();
  if (!dice.oneIn(4)) world.createMovable(SLOT_PAGES, dice.oneIn(6));
};
const takeDirtyLog: Operation = (world) => world.compareDirtyLog();

/** Operations with their weights. */
const MENU: readonly (readonly [Operation, number])[] = [
  [access, 40],
  [map, 14],
  [mapLarge, 4],
  [share, 5],
  [writeEntry, 10],
  [changeFlags, 10],
  [kernelAccess, 4],
  [fill, 2],
  [switchRoot, 5],
  [invlpg, 3],
  [toggleCr0, 2],
  [toggleCr4, 3],
  [toggleNx, 1],
  [toggleAc, 2],
  [togglePaging, 1],
  [hostAction, 3],
  [hostAge, 1],
  [changeSlot, 1],
  [takeDirtyLog, 2],
];
const DECK: readonly Operation[] = MENU.flatMap(([operation, weight]) =>
  new Array<Operation>(weight).fill(operation),
);

export const perform: Operation = (world, dice) => dice.pick(DECK)(world, dice);
