import { type HostMemory, HostProcess, performHostAction, type ZonePages } from "../host";
import { Vm, type VmOptions } from "../kvm";
import {
  type Engine,
  type Gpa,
  gfnOf,
  gpa,
  type Hpa,
  type Hva,
  hpaOf,
  hva,
  PAGE_SIZE,
  type PagingFeatures,
  pageOffset,
  pfn,
  pfnOf,
  type VcpuCore,
} from "../x86";
import type { PageSource } from "./byte-space";
import { guestCpuOf } from "./core-registers";
import { HostControl } from "./host-control";
import { type ExitCounts, KvmBoard } from "./kvm-board";
import type { Piece } from "./loaders/boot-image";
import type { BoardHost } from "./pc-board";
import type { Platform } from "./platform";
import { hex, type Refusal, refuse } from "./refusal";
import type { SlotRequest } from "./slot-backing";
import { SlotControl } from "./slot-control";

/** Frames for pages that lose their place to swap or migration. */
const SPARE_FRAMES = 1024;
/** KVM allows one shadow page per 50 guest pages; then roots and pages being replaced. */
const GUEST_PAGES_PER_SHADOW_PAGE = 50;
const EXTRA_SHADOW_PAGES = 256;
/** A PAE root for each vCPU, and the dummy root. */
const EXTRA_LOW_FRAMES = 8;

/** Host frames for a VM with so much RAM. */
export function hostZones(ramBytes: number, vcpus: number): ZonePages {
  const guestPages = ramBytes / PAGE_SIZE;
  return {
    low: vcpus + EXTRA_LOW_FRAMES,
    guest: guestPages + SPARE_FRAMES,
    mmu: Math.ceil(guestPages / GUEST_PAGES_PER_SHADOW_PAGE) + EXTRA_SHADOW_PAGES,
  };
}

/** `mmu: shadow`, `ept` or `npt`: a host process whose mappings are the guest's memory, and the hypervisor over it. */
export class KvmPlatform implements Platform {
  readonly vm: Vm;
  readonly exits: ExitCounts = {};
  readonly host: HostControl;
  readonly slots: SlotControl;
  private readonly process: HostProcess;
  private readonly boards: KvmBoard[] = [];
  private engine: Engine | undefined;

  constructor(
    memory: WebAssembly.Memory,
    private readonly frames: HostMemory,
    private readonly boardHost: BoardHost,
    features: PagingFeatures,
    engine: Pick<VmOptions, "paging" | "profile" | "tdpMmu" | "knobs">,
  ) {
    const { trace } = boardHost;
    this.process = new HostProcess(frames, trace);
    this.host = new HostControl(this.process, trace);
    frames.onFree = (frame) => this.bytesWritten(frames.offsetOf(frame), PAGE_SIZE);
    const owner = this.process;
    this.vm = new Vm({ memory, host: frames, process: owner, trace, features, ...engine });
    this.vm.onUserExit = (id) => {
      const why = this.vm.vcpus[id]?.tripleFault;
      if (why) boardHost.shutDown(id, why);
    };
    this.slots = new SlotControl(this.vm, owner);
  }

  /** Maps and registers the guest's memory; done once, before anything is loaded. */
  addSlots(slots: readonly SlotRequest[]): Refusal | undefined {
    for (const [id, slot] of slots.entries()) {
      const outcome = this.slots.create(id, slot);
      if (outcome.kind === "refused") return outcome;
    }
    return undefined;
  }

  /**
   * Runs every invariant at each VM entry from now on. Ports, MSRs and HLT do not touch the MMU: the
   * entry after such an exit finds what the one before has found.
   */
  checkEntries(): void {
    const check = this.vm.entryCheck();
    this.vm.onEntry = (id) => {
      const vcpu = this.vm.vcpus[id];
      if (!vcpu || !this.boardOf(id).takeTouched()) return;
      const violations = check(vcpu);
      if (violations.length > 0) this.boardHost.violated(violations);
    };
  }

  board(vcpu: number): KvmBoard {
    const board = new KvmBoard(vcpu, this.boardHost, this.exits);
    this.boards[vcpu] = board;
    return board;
  }

  attach(vcpu: number, core: VcpuCore, engine: Engine): void {
    this.engine = engine;
    const board = this.boardOf(vcpu);
    board.core = core;
    board.connect(this.vm.addVcpu(guestCpuOf(core)));
  }

  private boardOf(vcpu: number): KvmBoard {
    const board = this.boards[vcpu];
    if (!board) throw new Error(`vcpu ${vcpu} has no board`);
    return board;
  }

  /** Through the process's mapping, as a VMM loads an image: also into read-only slots. */
  load(pieces: readonly Piece[]): Refusal | undefined {
    for (const piece of pieces)
      for (let done = 0; done < piece.bytes.length; ) {
        const at = gpa(piece.gpa + done);
        const part = piece.bytes.subarray(done, done + PAGE_SIZE - pageOffset(at));
        const address = this.hvaOf(at);
        if (address === undefined || !this.hva.store(address, part))
          return refuse(`the image needs memory at gpa ${hex(at)}: give a memslot there`);
        done += part.length;
      }
    return undefined;
  }

  private hvaOf(at: Gpa): Hva | undefined {
    const frame = gfnOf(at);
    const slot = this.vm.slots.find((s) => s.contains(frame));
    return slot && hva(slot.hvaOf(frame) + pageOffset(at));
  }

  readonly gpa: PageSource<Gpa> = {
    page: (at) => {
      const address = this.hvaOf(at);
      return address === undefined ? undefined : this.process.contents(address);
    },
    // As an emulated store of the guest: shadowed tables and the dirty log hear of it.
    store: (at, bytes) => {
      if (!this.vm.memory.isWritable(gfnOf(at))) return false;
      this.vm.vcpus[0]?.emulatedStore(at, bytes);
      this.bytesWritten(this.vm.memory.peekOffset(gfnOf(at)) + pageOffset(at), bytes.length);
      return true;
    },
    nextMapped: (at) => {
      const frame = gfnOf(at);
      if (this.vm.slots.some((slot) => slot.contains(frame))) return at;
      const next = this.vm.slots.find((slot) => slot.baseGfn > frame);
      return next && gpa(next.baseGfn * PAGE_SIZE);
    },
  };

  readonly hpa: PageSource<Hpa> = {
    page: (at) => {
      const frame = pfnOf(at);
      return this.frames.isAllocated(frame) ? this.frames.frameBytes(frame) : undefined;
    },
    store: (at, bytes) => {
      const offset = this.frames.offsetOf(pfnOf(at)) + pageOffset(at);
      this.frames.bytes.set(bytes, offset);
      this.bytesWritten(offset, bytes.length);
      return true;
    },
    nextMapped: (at) => {
      const frame = pfnOf(at);
      if (this.frames.isAllocated(frame)) return at;
      for (const zone of Object.values(this.frames.zones))
        for (let next = Math.max(frame + 1, zone.first); next < zone.first + zone.pages; next++)
          if (zone.isTaken(pfn(next))) return hpaOf(pfn(next));
      return undefined;
    },
  };

  readonly hva: PageSource<Hva> = {
    page: (at) => this.process.contents(at),
    store: (at, bytes) => {
      const page = this.process.faultIn(at, true);
      return page.kind === "page" && this.hpa.store(hpaOf(page.pfn, pageOffset(at)), bytes);
    },
    nextMapped: (at) => {
      if (this.process.mappingAt(at)) return at;
      return this.process.mappings.find((mapping) => mapping.start > at)?.start;
    },
  };

  private bytesWritten(offset: number, length: number): void {
    this.engine?.bytesWritten(offset, length);
  }

  /** By way of the swap device, so that the page keeps its bytes and loses its frame. */
  dropPage(at: number): void {
    const address = this.hvaOf(gpa(at));
    if (address !== undefined)
      performHostAction(this.process, this.boardHost.trace, "swap-out", address);
  }

  controlsReplaced(vcpu: number): boolean {
    const { kvm } = this.boardOf(vcpu);
    if (!kvm.controlsReplaced()) return false;
    kvm.cpu.flushTlb();
    return true;
  }

  beforeSlice(vcpu: number): void {
    this.boardOf(vcpu).kvm.enter();
  }
  halted(vcpu: number): void {
    this.boardOf(vcpu).halted();
  }

  save(): unknown {
    return {
      frames: this.frames.save(),
      process: this.process.save(),
      vm: this.vm.save(),
      exits: { ...this.exits },
    };
  }

  restore(saved: unknown): void {
    const state = saved as {
      readonly frames: Parameters<HostMemory["restore"]>[0];
      readonly process: Parameters<HostProcess["restore"]>[0];
      readonly vm: Parameters<Vm["restore"]>[0];
      readonly exits: ExitCounts;
    };
    this.frames.restore(state.frames);
    this.process.restore(state.process);
    this.vm.restore(state.vm);
    for (const reason of Object.keys(this.exits)) delete this.exits[reason];
    Object.assign(this.exits, state.exits);
  }
}
