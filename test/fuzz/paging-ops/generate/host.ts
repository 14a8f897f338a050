import type { HostAction } from "../../../../src/host";
import { profileOf } from "../../../../src/kvm";
import { DATA, POOL, RAM_PAGES, SLOT_PAGES } from "../layout";
import type { BareStep, Step } from "../steps";
import type { Generator, Scene } from "./scene";

const ACTIONS: readonly HostAction[] = [
  "swap-out",
  "swap-out",
  "migrate",
  "migrate",
  "merge",
  "collapse",
  "split",
];
const LOGS = 1;
const READ_ONLY = 2;

/** The flag, where the era knows it. */
function readOnly(scene: Scene): number {
  const profile = profileOf(scene.world.setup.era);
  return "era" in profile ? profile.slotFlags & READ_ONLY : 0;
}

/** Page of RAM behind a frame in use, wherever its slot is now. */
const anyPage = (scene: Scene): number =>
  scene.random.oneIn(10)
    ? scene.random.below(RAM_PAGES)
    : scene.random.pick(scene.random.oneIn(2) ? POOL : DATA);

export const anyHostAction = (scene: Scene): BareStep => ({
  op: "host",
  action: scene.random.pick(ACTIONS),
  page: anyPage(scene),
});

/** The host takes a page away between two writes to it: the second must not go to the old frame. */
const hostAction: Generator = (scene) => {
  const { random, world } = scene;
  const action = anyHostAction(scene);
  const slot = world.memory.slotById(1);
  const vcpu = scene.anyVcpu();
  const page = random.pick(POOL);
  const frame = page < SLOT_PAGES || !slot ? page : slot.base + page - slot.backing;
  const look = (): Step => scene.kernelStore(vcpu, frame * 4096 + 8 * 300, random.u64() & ~1n, 8);
  return [look(), { ...action, page } as Step, look()];
};

const age: Generator = (scene) => [
  {
    op: "age",
    how: scene.random.pick(["clear", "clear-flush", "test", "reclaim"] as const),
    page: anyPage(scene),
    pages: 1,
  },
];

/**
 * A page is written through what a read mapped, so that its spte alone tells of it; the host forgets what
 * was used, and takes the page. What was written must come back.
 */
const writeAged: Generator = (scene) => {
  const { random } = scene;
  const vcpu = scene.anyVcpu();
  const page = random.pick([...POOL, ...DATA].filter((one) => one < SLOT_PAGES));
  const write = scene.kernelStore(vcpu, page * 4096 + 8 * random.below(512), random.u64() & ~1n, 8);
  const { value, ...read } = write;
  const look: Step = { ...read, kind: "read" };
  const evict: Step = { op: "host", action: "swap-out", page };
  const aged: Step = { op: "age", how: random.pick(["clear", "clear-flush"]), page, pages: 1 };
  return [evict, look, write, aged, ...(random.oneIn(2) ? [look] : []), evict, look];
};

/** Slot 1 goes, comes back elsewhere or read-only, moves, or starts and stops logging. */
const changeSlot: Generator = (scene) => {
  const { random, world } = scene;
  const slot = world.memory.slotById(1);
  const fresh = {
    op: "slot",
    id: 1,
    base: random.oneIn(4) ? 2 * SLOT_PAGES + 7 : SLOT_PAGES,
    pages: SLOT_PAGES,
    backing: SLOT_PAGES,
    flags: (random.oneIn(5) ? readOnly(scene) : 0) | (random.oneIn(3) ? LOGS : 0),
  } as const;
  if (!slot) return [fresh];
  const present = { ...fresh, base: slot.base, flags: slot.flags } as const;
  switch (random.below(4)) {
    case 0:
      return random.oneIn(3) ? [{ ...present, pages: 0 }] : [{ ...present, pages: 0 }, fresh];
    case 1:
      return [{ ...present, base: fresh.base }];
    default:
      return [{ ...present, flags: slot.flags ^ LOGS }];
  }
};

/** The first slot holds the kernel and stays, but may log. */
const logFirstSlot: Generator = (scene) => {
  const { flags } = scene.world.memory.slotById(0)!;
  return [{ op: "slot", id: 0, base: 0, pages: SLOT_PAGES, backing: 0, flags: flags ^ LOGS }];
};

const takeLog: Generator = (scene) => [{ op: "dirty-log", id: scene.random.below(2) }];

/** Between two looks at the log a page is written, in several ways. */
const writeLogged: Generator = (scene) => {
  const { random, world } = scene;
  const vcpu = scene.anyVcpu();
  const logging = world.memory.slots.filter(({ flags }) => flags & LOGS);
  if (logging.length === 0) return [];
  const { id, base, backing, pages } = random.pick(logging);
  const page = random.pick(
    [...POOL, ...DATA].filter((one) => one >= backing && one < backing + pages),
  );
  const gpa = (base + page - backing) * 4096 + 8 * random.below(512);
  const write = () => scene.kernelStore(vcpu, gpa, random.u64() & ~1n, 8);
  const take: Step = { op: "dirty-log", id };
  const first = Math.floor((page - backing) / 64);
  const clear: Step = { op: "clear-log", id, first, blocks: 1 };
  if (random.oneIn(2)) return [write(), random.oneIn(2) ? take : clear, write(), take];
  // What taking the log made an spte forget must not be forgotten when the page goes.
  const { value, ...read } = write();
  const evict: Step = { op: "host", action: "swap-out", page };
  const look: Step = { ...read, kind: "read" };
  // Read first, the page may be written without a fault: only the D bit of its spte tells.
  return [evict, look, write(), take, evict, look];
};

const clearLog: Generator = (scene) => {
  const { random } = scene;
  const blocks = SLOT_PAGES / 64;
  const first = random.below(blocks);
  const count = 1 + random.below(blocks - first);
  return [{ op: "clear-log", id: random.below(2), first, blocks: count }];
};
/** While a slot logs the way it is cleared must stay as it was when it began: kernels lose writes else. */
const setManualProtect: Generator = ({ random, world }) =>
  world.memory.slots.some(({ flags }) => flags & LOGS)
    ? []
    : [{ op: "manual-protect", flags: random.pick([0, 1, 3] as const) }];

/** Two pages of zeros become one, and one of them is written again. */
const mergeZeros: Generator = (scene) => {
  const { random } = scene;
  const vcpu = scene.anyVcpu();
  const page = 0x60 + 2 * random.below(4);
  const store = (value: bigint): Step => scene.kernelStore(vcpu, page * 4096, value, 8);
  const other = scene.kernelStore(vcpu, (page + 1) * 4096, 0n, 8);
  return [
    store(0n),
    other,
    { op: "host", action: "merge", page },
    ...(random.oneIn(2) ? [store(random.u64()), { ...other, kind: "read" as const }] : []),
  ];
};

/** Memory gets short, for shadow pages or for all, and is plentiful again. */
const shrink: Generator = (scene) => [{ op: "shrink", pages: 1 + scene.random.below(20) }];
const limitMemory: Generator = (scene) => {
  const { random, world } = scene;
  // What is set aside cannot be had back: with less than that the guest never gets on.
  if (random.oneIn(3) || world.setup.backing === "hugetlb") return [{ op: "memory-limit" }];
  return [{ op: "memory-limit", frames: 100 + random.below(1000) }];
};

const setNxHugePages: Generator = (scene) => [{ op: "nx-huge-pages", on: scene.random.oneIn(2) }];
const recoverNx: Generator = () => [{ op: "recover-nx" }];

/** A few shadow pages, or as many as needed. */
const setLimit: Generator = (scene) => [{ op: "limit", pages: scene.random.pick([30, 60, 200]) }];

const restore: Generator = () => [{ op: "restore" }];

/** Generators of what host and VMM do, with their weights. */
export const HOST_MENU: readonly (readonly [Generator, number])[] = [
  [hostAction, 4],
  [age, 1],
  [writeAged, 1],
  [mergeZeros, 0.7],
  [changeSlot, 1],
  [logFirstSlot, 0.8],
  [takeLog, 1],
  [writeLogged, 3],
  [clearLog, 1],
  [setManualProtect, 0.3],
  [shrink, 0.3],
  [limitMemory, 0.2],
  [setNxHugePages, 0.2],
  [recoverNx, 0.3],
  [setLimit, 0.2],
  [restore, 0.02],
];
