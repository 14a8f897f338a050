import type { Random } from "../../random";
import { BACKINGS, ENDLESS, type Knobs, type Mode, type Setup } from "../setup";
import type { Step } from "../steps";
import type { GuestKind } from "../supported";
import type { World } from "../world";
import { ACCESS_MENU } from "./accesses";
import { HOST_MENU } from "./host";
import { RACE_MENU, withRace } from "./races";
import { flipPagingAmong, REGISTER_MENU, switchModeAmong } from "./registers";
import { type Generator, Scene } from "./scene";
import { stepsToMap, TABLE_MENU } from "./tables";

/** The guest a program begins with. */
export function anySetup(random: Random, kinds: readonly GuestKind[]): Setup {
  const vcpus = random.pick([1, 1, 2, 2, 3, 4]);
  const { mmu, era, mode } = random.pick(kinds);
  const physicalBits = random.pick([36, 40, 46, 46, 46, 52]);
  return {
    mmu,
    era,
    resched: random.pick([0, 0, 3, 40]),
    mode,
    tlb: Array.from({ length: vcpus }, () => random.pick([0, 1, 16, ENDLESS, ENDLESS, ENDLESS])),
    maxPages: random.pick([40, 80, 200]),
    backing: random.pick(BACKINGS),
    // A host that is not smaller than its guest.
    hostPhysicalBits: Math.max(physicalBits, random.pick([46, 46, 52])),
    physicalBits,
    gigabytePages: !random.oneIn(3),
    pse36: !random.oneIn(4),
    largeKernel: random.oneIn(2),
    knobs: anyKnobs(random),
    tdpMmu: !random.oneIn(3),
  };
}

/** Mostly as usual. */
function anyKnobs(random: Random): Knobs {
  return {
    ...(random.oneIn(4) ? { eptad: false } : {}),
    ...(random.oneIn(4) ? { eagerPageSplit: true } : {}),
    ...(random.oneIn(3) ? { pml: false } : {}),
    ...(random.oneIn(4) ? { nxHugePages: true, nxHugePagesRecoveryRatio: 2 } : {}),
  };
}

/** Addresses that each vCPU's tables are made to map before anything else. */
const MAPPED_AT_FIRST = 3;

/** Makes the steps of a program one by one, as the world they are taken in goes on. */
export class Author {
  private readonly scene: Scene;
  private readonly menu: readonly (readonly [Generator, number])[];
  /** All weights together. */
  private readonly total: number;
  private waiting: Step[] = [];

  constructor(world: World, random: Random, modes: readonly Mode[]) {
    this.scene = new Scene(world, random);
    world.vcpus.forEach((_, vcpu) => {
      for (let i = 0; i < MAPPED_AT_FIRST; i++)
        this.waiting.push(...stepsToMap(this.scene, vcpu, this.scene.anyAddress(vcpu)));
    });
    this.menu = [
      ...ACCESS_MENU,
      ...TABLE_MENU,
      ...REGISTER_MENU,
      ...(world.subject.vm ? [...HOST_MENU, ...RACE_MENU] : []),
      [switchModeAmong(modes), modes.length > 1 ? 0.5 : 0] as const,
      [flipPagingAmong(modes), modes.length > 1 ? 0.7 : 0] as const,
    ];
    this.total = this.menu.reduce((sum, [, weight]) => sum + weight, 0);
  }

  next(): Step {
    for (;;) {
      const step = this.waiting.shift();
      if (step) return withRace(this.scene, step);
      this.waiting = [...this.anyGenerator()(this.scene)];
    }
  }

  private anyGenerator(): Generator {
    let at = (this.scene.random.u32() / 2 ** 32) * this.total;
    for (const [generator, weight] of this.menu) {
      at -= weight;
      if (at < 0) return generator;
    }
    throw new Error("the weights do not add up");
  }
}
