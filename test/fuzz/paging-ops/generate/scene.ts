import type { Random } from "../../random";
import { addressesOf, type Geometry, geometryOf, kernelBase } from "../geometry";
import { DATA, HOLES, POOL, SLOT_PAGES } from "../layout";
import { pathOf } from "../path";
import type { PlainVcpu } from "../plain-vcpu";
import { P } from "../plain-walk";
import { MODES, type Mode } from "../setup";
import type { AccessStep, Step } from "../steps";
import type { World } from "../world";

/** Makes the next steps of a program; it may look at the world but changes nothing. */
export type Generator = (scene: Scene) => readonly Step[];

const LIKELY_TRIES = 6;
const ADDRESSES = new Map(
  MODES.map((mode) => [mode, mode === "none" ? [] : addressesOf(geometryOf(mode))] as const),
);

/** Where a program stands, and the numbers that decide how it goes on. */
export class Scene {
  constructor(
    readonly world: World,
    readonly random: Random,
  ) {}

  anyVcpu(): number {
    return this.random.below(this.world.vcpus.length);
  }
  plain(vcpu: number): PlainVcpu {
    return this.world.vcpus[vcpu]!;
  }
  mode(vcpu: number): Mode {
    return this.plain(vcpu).mode;
  }
  /** Of the vCPU's mode; a guest that does not page is taken to prepare 4-level tables. */
  geometry(vcpu: number): Geometry {
    const mode = this.mode(vcpu);
    return geometryOf(mode === "none" ? "4-level" : mode);
  }

  /** A page address that the vCPU's tables could map. */
  anyAddress(vcpu: number): bigint {
    const mode = this.mode(vcpu);
    if (mode === "none") return BigInt(this.anyFrame()) * 4096n;
    return this.random.pick(ADDRESSES.get(mode)!);
  }
  /** An address that is mapped by a level-1 entry, if a few tries find one; else any. */
  likelyAddress(vcpu: number): bigint {
    let va = this.anyAddress(vcpu);
    for (let tries = 0; tries < LIKELY_TRIES && !this.isMapped(vcpu, va); tries++)
      va = this.anyAddress(vcpu);
    return va;
  }
  private isMapped(vcpu: number, va: bigint): boolean {
    const last = this.path(vcpu, va).at(-1);
    return last?.level === 1 && ((last.entry ?? 0n) & P) !== 0n;
  }
  /** A frame number as an entry may hold it: mostly the pool, sometimes elsewhere. */
  anyFrame(): number {
    const { random } = this;
    if (random.oneIn(6)) return random.pick(DATA);
    if (random.oneIn(14)) return random.pick(HOLES);
    return random.oneIn(14) ? random.pick([0, SLOT_PAGES]) : random.pick(POOL);
  }
  /** gpa of an entry in use of some table. */
  anyEntry(vcpu: number): number {
    const { indexes, entryBytes } = this.geometry(vcpu);
    const index = this.random.pick(this.random.pick(indexes));
    return this.random.pick(POOL) * 4096 + index * entryBytes;
  }
  entryAt(vcpu: number, gpa: number): bigint {
    return this.world.memory.read(gpa, this.geometry(vcpu).entryBytes) ?? 0n;
  }
  path(vcpu: number, va: bigint) {
    return pathOf(this.world.memory, this.plain(vcpu), va);
  }

  /** A store to gpa the way a kernel makes it: through its own map of RAM. */
  kernelStore(vcpu: number, gpa: number, value: bigint, size?: 1 | 2 | 4 | 8): AccessStep {
    const geometry = this.geometry(vcpu);
    const va = this.mode(vcpu) === "none" ? BigInt(gpa) : kernelBase(geometry) + BigInt(gpa);
    return {
      op: "access",
      vcpu,
      kind: "write",
      cpl: 0,
      va,
      value,
      size: size ?? geometry.entryBytes,
    };
  }
}
