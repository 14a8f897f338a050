import { SLOT_FLAG } from "../../src/kvm";
import { COLD, type GuestProcess, MmuWorld, PAGE, WARM } from "./mmu-world";

/** One operation in a world that is ready for it. */
export interface Trial {
  readonly world: MmuWorld;
  /** What must be so before the n-th operation; not measured. */
  prepare?(n: number): void;
  operate(n: number): void;
  /** Operations to measure. */
  readonly times: number;
}

/** A cost: what is done, and what grows from one column of the table to the next. */
export interface Scenario {
  readonly name: string;
  readonly grows: string;
  /** The documents promise that it does not grow. */
  readonly flat: boolean;
  readonly trial: (scale: number) => Trial;
}

/** sptes that live in the smallest world. */
const SPTES = 8192;
const TABLE_PAGES = 2048;
const DATA_AT = 0x10000;
const GIGABYTE = 0x40000;

function worldWith(sptes: number, extra = 0, bits = COLD): [MmuWorld, GuestProcess] {
  const data = sptes + extra;
  const world = new MmuWorld(TABLE_PAGES, data, 1024 + Math.ceil(data / 400));
  world.setSlot(1, DATA_AT, data, TABLE_PAGES);
  const process = world.addProcess(DATA_AT, data, bits);
  world.populate(process, sptes);
  return [world, process];
}

function firstTouch(scale: number): Trial {
  const times = 4096;
  const [world, process] = worldWith(SPTES * scale, 2 * times);
  return {
    world,
    times,
    operate: (n) => world.readFault(process, SPTES * scale + n),
  };
}

function firstTouchWithNeighbours(scale: number): Trial {
  const times = 512;
  const [world, process] = worldWith(SPTES * scale, 16 * times);
  for (let page = SPTES * scale; page < SPTES * scale + 16 * times; page++) {
    const table = process.tables[page >> 9]!;
    world.poke(table + 8 * (page & 511), (DATA_AT + page) * PAGE + WARM);
    world.makeResident(DATA_AT + page);
  }
  return { world, times, operate: (n) => world.readFault(process, SPTES * scale + 8 * n) };
}

/** A leaf gpte of a table in sync is rewritten through the emulator; the spte is there each time. */
function gpteWrite(scale: number): Trial {
  const [world, process] = worldWith(SPTES * scale);
  const at = (n: number): number => process.tables[0]! + 8 * (n & 511);
  return {
    world,
    times: 4096,
    prepare: (n) => world.readFault(process, n & 511),
    operate: (n) => world.emulateStore(at(n), (DATA_AT + (n & 511)) * PAGE + COLD + 0x20),
  };
}

/** A process that sees its own first level-1 table at `window`: a write there unsyncs one page. */
function tableWriter(scale: number): { world: MmuWorld; process: GuestProcess; window: bigint } {
  const [world, process] = worldWith(SPTES * scale);
  const window = BigInt(world.mapAfter(process, process.tables[0]!));
  world.switchTo(process);
  return { world, process, window };
}

const WRITE = 6;

function unsync(scale: number): Trial {
  const { world, process, window } = tableWriter(scale);
  return {
    world,
    times: 1024,
    prepare: () => world.switchTo(process),
    operate: () => world.vcpu.pageFault(window, WRITE),
  };
}

/** The reload of CR3 that syncs one unsync page of 512 sptes, one of them changed. */
function syncOnePage(scale: number): Trial {
  const { world, process, window } = tableWriter(scale);
  return {
    world,
    times: 1024,
    prepare: (n) => {
      world.readFault(process, (n - 1) & 511);
      world.vcpu.pageFault(window, WRITE);
      const at = process.tables[0]! + 8 * (n & 511);
      world.poke(at, (DATA_AT + ((n + 1) & 511)) * PAGE + WARM);
    },
    operate: () => world.switchTo(process),
  };
}

function switchBetween(roots: number): (scale: number) => Trial {
  return (scale) => {
    const pages = (SPTES / roots) * scale;
    const world = new MmuWorld(TABLE_PAGES, roots * pages, 1024 + roots * 8);
    world.setSlot(1, DATA_AT, roots * pages, TABLE_PAGES);
    const processes = Array.from({ length: roots }, (_, n) => {
      const process = world.addProcess(DATA_AT + n * pages, pages, COLD);
      world.populate(process, pages);
      return process;
    });
    return { world, times: 4096, operate: (n) => world.switchTo(processes[n % roots]!) };
  };
}

function invlpg(scale: number): Trial {
  const [world, process] = worldWith(SPTES * scale);
  return {
    world,
    times: 4096,
    operate: (n) => world.vcpu.invlpg(BigInt(process.base + (n % SPTES) * PAGE)),
  };
}

function invlpgUnsync(scale: number): Trial {
  const { world, process, window } = tableWriter(scale);
  world.vcpu.pageFault(window, WRITE);
  return {
    world,
    times: 4096,
    operate: (n) => world.vcpu.invlpg(BigInt(process.base + (n & 511) * PAGE)),
  };
}

/** Deletes a slot of `scale`/16 GB in which 2048 pages are mapped. */
function deleteSlot(scale: number): Trial {
  const pages = (GIGABYTE / 16) * scale;
  const mapped = 2048;
  const world = new MmuWorld(TABLE_PAGES, pages, 1024);
  const process = world.addProcess(DATA_AT, mapped, COLD);
  return {
    world,
    times: 40,
    prepare: () => {
      world.setSlot(1, DATA_AT, pages, TABLE_PAGES);
      world.populate(process, mapped);
    },
    operate: () => world.setSlot(1, 0, 0, 0),
  };
}

/** The same for 1 GB, with more and more of it mapped. */
function deleteMapped(scale: number): Trial {
  const mapped = 4096 * scale;
  const world = new MmuWorld(TABLE_PAGES, GIGABYTE, 1024);
  const process = world.addProcess(DATA_AT, mapped, COLD);
  return {
    world,
    times: 10,
    prepare: () => {
      world.setSlot(1, DATA_AT, GIGABYTE, TABLE_PAGES);
      world.populate(process, mapped);
    },
    operate: () => world.setSlot(1, 0, 0, 0),
  };
}

/** What the processor does on a TLB miss: the measure of the others. */
function pageWalk(scale: number): Trial {
  const [world, process] = worldWith(SPTES * scale);
  return {
    world,
    times: 4096,
    operate: (n) => {
      world.vcpu.refill(BigInt(process.base + (n % SPTES) * PAGE), 4);
    },
  };
}

/** KVM_GET_DIRTY_LOG of 1 GB in which 4096 × scale pages were written. */
function dirtyLog(scale: number): Trial {
  const written = 4096 * scale;
  const world = new MmuWorld(TABLE_PAGES, GIGABYTE, 2048);
  world.setSlot(1, DATA_AT, GIGABYTE, TABLE_PAGES, SLOT_FLAG.logDirty);
  const process = world.addProcess(DATA_AT, written, WARM);
  world.switchTo(process);
  return {
    world,
    times: 10,
    prepare: () => {
      for (let page = 0; page < written; page++)
        world.vcpu.pageFault(BigInt(process.base + page * PAGE), WRITE);
    },
    operate: () => {
      world.vm.getDirtyLog(1);
    },
  };
}

export const SCENARIOS: readonly Scenario[] = [
  { name: "page walk of the processor", grows: "live sptes", flat: true, trial: pageWalk },
  { name: "shadow fault, first touch", grows: "live sptes", flat: true, trial: firstTouch },
  {
    name: "shadow fault that maps 8 pages",
    grows: "live sptes",
    flat: true,
    trial: firstTouchWithNeighbours,
  },
  { name: "gpte write, emulated", grows: "live sptes", flat: true, trial: gpteWrite },
  { name: "write fault that unsyncs a page", grows: "live sptes", flat: true, trial: unsync },
  { name: "sync of a page", grows: "live sptes", flat: true, trial: syncOnePage },
  { name: "CR3 switch, 1 known root", grows: "live sptes", flat: true, trial: switchBetween(1) },
  { name: "CR3 switch, 4 known roots", grows: "live sptes", flat: true, trial: switchBetween(4) },
  { name: "CR3 switch, 64 known roots", grows: "live sptes", flat: true, trial: switchBetween(64) },
  { name: "INVLPG, page in sync", grows: "live sptes", flat: true, trial: invlpg },
  { name: "INVLPG, page unsync", grows: "live sptes", flat: true, trial: invlpgUnsync },
  { name: "slot deleted, 2048 pages mapped", grows: "slot", flat: true, trial: deleteSlot },
  { name: "slot of 1 GB deleted", grows: "mapped pages", flat: false, trial: deleteMapped },
  { name: "get_dirty_log of 1 GB", grows: "written pages", flat: false, trial: dirtyLog },
];
