import {
  agePage,
  type Backing,
  GUEST_HVA,
  type HostAction,
  HostMemory,
  HostProcess,
  hostMemoryBytes,
  performHostAction,
} from "../../../src/host";
import { profileOf, Vm } from "../../../src/kvm";
import { gpa, hva, PAGE_SIZE, type PagingFeatures, Trace } from "../../../src/x86";
import { RAM_PAGES } from "./layout";
import type { PlainSlot } from "./plain-memory";
import { Processor } from "./processor";
import { ScriptedCpu } from "./scripted-cpu";
import type { Setup } from "./setup";
import type { Subject } from "./subject";

/** Frames besides those of RAM: for pages that lose their place. */
const SPARE = 0x400;
const SHADOW_PAGES = 0x100;
const BASE = 0x10000;

export const featuresOf = (setup: Setup): PagingFeatures => ({
  physicalBits: setup.physicalBits,
  gigabytePages: setup.gigabytePages,
  pse36: setup.pse36,
  amd: false,
});

const FILE = "ram";

function backingOf({ backing }: Setup): Backing {
  if (backing === "hugetlb") return { kind: "hugetlb", writable: true, level: 2 };
  if (backing === "anonymous" || backing === "huge")
    return { kind: "anonymous", writable: true, thp: backing === "huge" };
  return { kind: "file", writable: true, file: FILE, firstPage: 0, shared: backing === "file" };
}

const addressOf = (page: number) => hva(GUEST_HVA + page * PAGE_SIZE);

/** A VM with vCPUs, over a host process whose memory is RAM. */
export class HypervisorSubject implements Subject {
  readonly trace = new Trace();
  readonly processors: readonly Processor[];
  readonly vm: Vm;
  readonly process: HostProcess;
  private readonly host: HostMemory;
  private readonly cpus: readonly ScriptedCpu[];

  constructor(setup: Setup) {
    const zones = { low: 16, guest: RAM_PAGES + SPARE, mmu: SHADOW_PAGES };
    const pages = Math.ceil((hostMemoryBytes(zones) + BASE) / 0x10000);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.host = new HostMemory(memory, BASE, zones);
    this.process = new HostProcess(this.host, this.trace);
    this.process.createFile(FILE, RAM_PAGES);
    const mapped = this.process.mmap(GUEST_HVA, RAM_PAGES * PAGE_SIZE, backingOf(setup));
    if (mapped.kind === "refused") throw new Error(mapped.reason);
    const profile = profileOf(setup.era);
    if ("reason" in profile) throw new Error(profile.reason);
    this.vm = new Vm({
      memory,
      host: this.host,
      process: this.process,
      trace: this.trace,
      features: featuresOf(setup),
      hostPhysicalBits: setup.hostPhysicalBits,
      profile,
      knobs: setup.knobs,
      tdpMmu: setup.tdpMmu,
      ...(setup.mmu === "none" ? {} : { paging: setup.mmu }),
    });
    const trees = this.vm.core.state.tdpMmu;
    let entries = 0;
    if (trees && setup.resched > 0) trees.needResched = () => ++entries % setup.resched === 0;
    const bytes = new DataView(memory.buffer);
    this.cpus = setup.tlb.map((size) => new ScriptedCpu(size));
    this.processors = this.cpus.map((cpu) => new Processor(bytes, cpu, this.vm.addVcpu(cpu)));
  }

  contents(page: number): Uint8Array {
    return this.process.contents(addressOf(page))!;
  }
  plant(page: number, bytes: Uint8Array): void {
    const resident = this.process.faultIn(addressOf(page), true);
    if (resident.kind !== "page") throw new Error(`page ${page} of RAM: ${resident.kind}`);
    this.host.frameBytes(resident.pfn).set(bytes);
  }
  setSlot({ id, base, pages, backing, flags }: PlainSlot): string {
    const outcome = this.vm.setMemoryRegion({
      slot: id,
      flags,
      guestPhysAddr: gpa(base * PAGE_SIZE),
      memorySize: pages * PAGE_SIZE,
      userspaceAddr: addressOf(backing),
    });
    return outcome.kind === "done" ? outcome.change : outcome.errno;
  }
  hostAction(action: HostAction, page: number): string | undefined {
    const outcome = performHostAction(this.process, this.trace, action, addressOf(page));
    return outcome.kind === "refused" ? outcome.reason : undefined;
  }
  age(how: "clear" | "clear-flush" | "test" | "reclaim", page: number, pages: number): void {
    const range = { start: addressOf(page), end: addressOf(page + pages) };
    const { notifiers } = this.process;
    if (how === "clear") notifiers.clearYoung(range);
    else if (how === "clear-flush") notifiers.clearFlushYoung(range);
    else if (how === "test") notifiers.testYoung(range);
    else
      for (let i = page; i < page + pages; i++)
        if (agePage(this.process, addressOf(i)) === "old") this.hostAction("swap-out", i);
  }
  shrink(pages: number): void {
    this.process.space.shrinkers.shrink(pages);
  }
  limitMemory(frames: number | undefined): void {
    this.process.limit = frames;
    this.process.keepLimit();
  }
  checkHost(): readonly string[] {
    return this.process.check();
  }
  restore(): void {
    const saved = { vm: this.vm.save(), process: this.process.save(), host: this.host.save() };
    this.process.restore(saved.process);
    this.host.restore(saved.host);
    this.vm.restore(saved.vm);
  }
}
