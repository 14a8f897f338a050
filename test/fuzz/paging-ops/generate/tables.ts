import { CR0, CR4 } from "../../../../src/x86";
import { POOL, ROOTS } from "../layout";
import { entryAddress, shiftOf, target } from "../plain-walk";
import type { Step } from "../steps";
import { anyEntryValue, anyFlag, anyRoot, goodEntry, largeEntry, NX } from "./entries";
import type { Generator, Scene } from "./scene";

/**
 * What may follow a change of an entry: the flush that a careful kernel makes on this vCPU or all, only
 * part of it, or none at all for now.
 */
function flushes(scene: Scene, vcpu: number, affected: readonly bigint[]): Step[] {
  const { random, world } = scene;
  const everywhere = random.oneIn(2) ? world.vcpus.map((_, i) => i) : [vcpu];
  switch (random.below(5)) {
    case 0:
    case 1:
      return everywhere.flatMap((one) =>
        affected.map((va): Step => ({ op: "invlpg", vcpu: one, va })),
      );
    case 2:
      return everywhere.map((one): Step => ({ op: "cr3", vcpu: one, value: scene.plain(one).cr3 }));
    case 3:
      return [{ op: "invlpg", vcpu, va: scene.anyAddress(vcpu) }];
    default:
      return [];
  }
}

/** Stores an entry, flushes perhaps, and perhaps looks what has become of an address below it. */
function change(scene: Scene, vcpu: number, gpa: number, value: bigint, va?: bigint): Step[] {
  const { random } = scene;
  const affected = va === undefined ? [] : [va];
  const steps: Step[] = [
    scene.kernelStore(vcpu, gpa, value),
    ...flushes(scene, vcpu, [...affected, scene.anyAddress(vcpu)].slice(0, 2)),
  ];
  if (va !== undefined && random.oneIn(2)) {
    const kind = random.pick(["read", "write", "fetch"] as const);
    const cpl = random.pick([0, 3] as const);
    steps.push({ op: "access", vcpu, kind, cpl, va: va + 64n, value: random.u64() & ~1n });
  }
  return steps;
}

const writeEntry: Generator = (scene) => {
  const vcpu = scene.anyVcpu();
  return change(scene, vcpu, scene.anyEntry(vcpu), anyEntryValue(scene, vcpu));
};

const changeFlags: Generator = (scene) => {
  const vcpu = scene.anyVcpu();
  const gpa = scene.anyEntry(vcpu);
  return change(scene, vcpu, gpa, scene.entryAt(vcpu, gpa) ^ anyFlag(scene, vcpu));
};

/** Changes an entry that is in use for some address, so that it shows. */
const changeUsed: Generator = (scene) => {
  const { random } = scene;
  const vcpu = scene.anyVcpu();
  const va = scene.likelyAddress(vcpu);
  const path = scene.path(vcpu, va);
  const step = path.length > 0 ? random.pick(path.slice(-2)) : undefined;
  if (step?.entry === undefined) return [];
  const value = random.oneIn(3)
    ? goodEntry(scene, vcpu, step.level)
    : step.entry ^ anyFlag(scene, vcpu);
  return change(scene, vcpu, step.gpa, value, va);
};

/** Makes an address work under the present root: one missing entry, or all that are missing. */
const map: Generator = (scene) => {
  const vcpu = scene.anyVcpu();
  const va = scene.anyAddress(vcpu);
  const last = scene.path(vcpu, va).at(-1);
  if (last?.entry === undefined) return [];
  return change(scene, vcpu, last.gpa, goodEntry(scene, vcpu, last.level), va);
};

/** Makes an address work all the way down, with tables of its own choice. */
const mapFully: Generator = (scene) => {
  const vcpu = scene.anyVcpu();
  return stepsToMap(scene, vcpu, scene.anyAddress(vcpu));
};

/** Stores that let `va` lead through the tables there are, and new ones where they end. */
export function stepsToMap(scene: Scene, vcpu: number, va: bigint): Step[] {
  const { mode } = scene.geometry(vcpu);
  const path = scene.path(vcpu, va);
  const steps: Step[] = [];
  let { gpa, level } = path.at(-1) ?? { gpa: 0, level: 0 };
  for (; level > 0; level--) {
    const entry = goodEntry(scene, vcpu, level);
    steps.push(scene.kernelStore(vcpu, gpa, entry));
    if (level > 1) gpa = entryAddress(mode, level - 1, target(mode, level, entry, false), va);
  }
  return steps;
}

/**
 * An address is used, then its translation changed by some vCPU, used again before any flush, and once
 * more after it.
 */
const lookTooEarly: Generator = (scene) => {
  const { random } = scene;
  const vcpu = scene.anyVcpu();
  const va = scene.likelyAddress(vcpu);
  const leaf = scene.path(vcpu, va).at(-1);
  if (leaf?.entry === undefined) return [];
  const look = (): Step => ({
    op: "access",
    vcpu,
    kind: random.pick(["read", "read", "write", "fetch"] as const),
    cpl: random.pick([0, 3] as const),
    va: va + 128n,
    value: random.u64() & ~1n,
  });
  const changed = random.pick([
    0n,
    leaf.entry ^ anyFlag(scene, vcpu),
    goodEntry(scene, vcpu, leaf.level),
  ]);
  const writer = scene.mode(vcpu) === "none" ? vcpu : scene.anyVcpu();
  const size = scene.geometry(vcpu).entryBytes;
  const flush: Step = random.oneIn(2)
    ? { op: "invlpg", vcpu, va }
    : { op: "cr3", vcpu, value: scene.plain(vcpu).cr3 };
  // Another vCPU under the same root, whose TLB nobody but the hypervisor will flush.
  const other = scene.anyVcpu();
  const onlooker: Step[] =
    other !== vcpu && scene.mode(other) === scene.mode(vcpu)
      ? [
          { op: "cr3", vcpu: other, value: scene.plain(vcpu).cr3 },
          { ...look(), vcpu: other } as Step,
        ]
      : [];
  return [
    look(),
    ...onlooker,
    // Seldom by the emulator, which leaves no page unsync.
    random.oneIn(4)
      ? { op: "store", vcpu: writer, gpa: leaf.gpa, size, value: changed }
      : scene.kernelStore(writer, leaf.gpa, changed, size),
    look(),
    ...(random.oneIn(3) ? [] : [flush, { op: "check" } as const]),
    look(),
  ];
};

/** Makes a page of 2M, 4M or 1G. */
const mapLarge: Generator = (scene) => {
  const vcpu = scene.anyVcpu();
  const va = scene.anyAddress(vcpu);
  const level = scene.geometry(vcpu).mode !== "PAE" && scene.random.oneIn(5) ? 3 : 2;
  const step = scene.path(vcpu, va).find((one) => one.level === level);
  if (step?.entry === undefined) return [];
  const nx = scene.geometry(vcpu).entryBytes === 8 && scene.random.oneIn(5) ? NX : 0n;
  return change(scene, vcpu, step.gpa, largeEntry(scene, level) | nx, va);
};

/** A large page is used here and there, in every way: its D bit comes with the first write. */
const useLarge: Generator = (scene) => {
  const { random } = scene;
  const vcpu = scene.anyVcpu();
  const { mode } = scene.geometry(vcpu);
  if (scene.mode(vcpu) === "none") return [];
  const pages = [1, 2, 3, 4]
    .map(() => scene.anyAddress(vcpu))
    .filter((va) => {
      const last = scene.path(vcpu, va).at(-1);
      return last !== undefined && last.level > 1 && ((last.entry ?? 0n) & 0x81n) === 0x81n;
    });
  const [va] = pages;
  if (va === undefined) return mapLarge(scene);
  const size = 1n << BigInt(shiftOf(mode, 2));
  const look = (): Step => ({
    op: "access",
    vcpu,
    kind: random.pick(["read", "read", "write", "fetch"] as const),
    cpl: random.pick([0, 3] as const),
    // Another page of the same large one.
    va: (va & ~(size - 1n)) + BigInt(random.pick(NEAR) * 4096 + 64),
    value: random.u64() & ~1n,
  });
  return [look(), look(), look(), look()];
};
/** Pages of a large page: most of them near each other. */
const NEAR = [0, 1, 2, 3, 5, 16, 100, 511];

/** Lets two entries lead to one table or page, as address spaces that share do. */
const share: Generator = (scene) => {
  const vcpu = scene.anyVcpu();
  const flags = scene.random.oneIn(4) ? anyFlag(scene, vcpu) : 0n;
  const from = scene.entryAt(vcpu, scene.anyEntry(vcpu));
  return change(scene, vcpu, scene.anyEntry(vcpu), from ^ flags);
};

/** A table becomes plain data, or data a table: a run of stores as by a memory copy. */
const recycle: Generator = (scene) => {
  const { random } = scene;
  const vcpu = scene.anyVcpu();
  const { entryBytes } = scene.geometry(vcpu);
  const frame = random.pick(POOL);
  if (ROOTS.includes(frame)) return [];
  const first = random.below(4096 / entryBytes - 6);
  return Array.from({ length: 4 }, (_, i) =>
    scene.kernelStore(
      vcpu,
      frame * 4096 + (first + i) * entryBytes,
      random.oneIn(2) ? 0n : random.u64() & ~1n,
    ),
  );
};

/** The same table, stored to again and again: it is taken for plain memory. */
const flood: Generator = (scene) => {
  const vcpu = scene.anyVcpu();
  const gpa = scene.anyEntry(vcpu);
  return [1, 2, 3, 4].map(() =>
    scene.kernelStore(vcpu, gpa, scene.entryAt(vcpu, gpa) ^ anyFlag(scene, vcpu)),
  );
};

/** A store that is no entry: too small, or over two of them. */
const oddStore: Generator = (scene) => {
  const { random } = scene;
  const vcpu = scene.anyVcpu();
  const size = random.pick([1, 2, 4, 8] as const);
  const at = random.pick(POOL) * 4096 + size * random.below(4096 / size);
  return [scene.kernelStore(vcpu, at, random.u64() & ~1n, size)];
};

/** A store by gpa: a device, or the emulator. */
const deviceStore: Generator = (scene) => {
  const vcpu = scene.anyVcpu();
  const size = scene.geometry(vcpu).entryBytes;
  const gpa = scene.anyEntry(vcpu);
  return [{ op: "store", vcpu, gpa, size, value: anyEntryValue(scene, vcpu) }];
};

const switchRoot: Generator = (scene) => {
  const vcpu = scene.anyVcpu();
  const value = anyRoot(scene, vcpu);
  return scene.plain(vcpu).tagged && scene.random.oneIn(2)
    ? [{ op: "cr3", vcpu, value, noFlush: true }]
    : [{ op: "cr3", vcpu, value }];
};

/** A translation changes while another root of the same PCID is loaded, and none of the loads flushes. */
const pcidRoundTrip: Generator = (scene) => {
  const { random } = scene;
  const vcpu = scene.anyVcpu();
  const plain = scene.plain(vcpu);
  if (!plain.tagged) return [];
  const va = scene.likelyAddress(vcpu);
  const leaf = scene.path(vcpu, va).at(-1);
  if (leaf?.entry === undefined) return [];
  const load = (root: bigint): Step => ({
    op: "cr3",
    vcpu,
    value: root | BigInt(plain.pcid),
    noFlush: true,
  });
  const look: Step = { op: "access", vcpu, kind: "read", cpl: random.pick([0, 3]), va };
  const own = plain.cr3 & ~0xfffn;
  const flush: readonly Step[] = [
    { op: "invlpg", vcpu, va },
    { op: "invpcid", vcpu, type: 0, pcid: plain.pcid, va },
    { op: "invpcid", vcpu, type: 1, pcid: plain.pcid, va },
    { op: "invpcid", vcpu, type: 3, pcid: 0, va },
  ];
  return [
    look,
    scene.kernelStore(vcpu, leaf.gpa, goodEntry(scene, vcpu, leaf.level)),
    load(BigInt(random.pick(ROOTS) * 4096)),
    random.pick(flush),
    load(own),
    look,
  ];
};

/**
 * The kernel writes to a page that is read-only for everybody, with CR0.WP clear; then each side uses it
 * again, in every way.
 */
const writeWithoutWp: Generator = (scene) => {
  const { random } = scene;
  const vcpu = scene.anyVcpu();
  const va = scene.anyAddress(vcpu);
  const leaf = scene.path(vcpu, va).at(-1);
  if (leaf?.entry === undefined) return [];
  const { cr0, cr4 } = scene.plain(vcpu);
  const entry = (goodEntry(scene, vcpu, leaf.level) & ~2n) | 0x65n;
  const use = (kind: "read" | "write" | "fetch", cpl: 0 | 3): Step => ({
    op: "access",
    vcpu,
    kind,
    cpl,
    va: va + 256n,
    value: random.u64() & ~1n,
  });
  const any = () =>
    use(random.pick(["read", "write", "fetch", "fetch"] as const), random.pick([0, 0, 3] as const));
  const wanted = scene.world.setup.era !== "2010" && random.oneIn(2) ? CR4.SMEP : 0n;
  return [
    scene.kernelStore(vcpu, leaf.gpa, entry),
    ...(cr0 & CR0.WP ? [{ op: "flip", vcpu, register: "cr0", bits: CR0.WP } as const] : []),
    ...(wanted & ~cr4 ? [{ op: "flip", vcpu, register: "cr4", bits: wanted } as const] : []),
    use("write", 0),
    any(),
    any(),
    any(),
  ];
};

/** Generators of steps about tables, with their weights. */
export const TABLE_MENU: readonly (readonly [Generator, number])[] = [
  [writeEntry, 10],
  [changeFlags, 8],
  [changeUsed, 12],
  [map, 16],
  [mapFully, 5],
  [lookTooEarly, 20],
  [mapLarge, 4],
  [useLarge, 5],
  [share, 5],
  [recycle, 2],
  [flood, 1],
  [oddStore, 2],
  [deviceStore, 1],
  [switchRoot, 5],
  [pcidRoundTrip, 3],
  [writeWithoutWp, 3],
];
