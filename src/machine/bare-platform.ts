import type { Engine, Gpa, Hpa, Hva, PagingFeatures, VcpuCore } from "../x86";
import { gfnOf, gpa, hpa, pageOffset } from "../x86";
import { BareBoard } from "./bare-board";
import type { PageSource } from "./byte-space";
import { BareRam } from "./guest-ram";
import type { Piece } from "./loaders/boot-image";
import type { BoardHost } from "./pc-board";
import type { Platform } from "./platform";
import { hex, type Refusal, refuse } from "./refusal";
import type { SlotRequest } from "./slot-backing";

const PAGE = 4096;

/** `mmu: none`: guest physical memory is the machine's memory, and there is no host to look at. */
export class BarePlatform implements Platform {
  readonly vm = undefined;
  readonly exits = {};
  private readonly bytes: Uint8Array;
  private readonly ram: BareRam;
  private readonly boards: BareBoard[] = [];
  private engine: Engine | undefined;

  readonly host = undefined;
  readonly slots = undefined;

  constructor(
    private readonly memory: WebAssembly.Memory,
    base: number,
    slots: readonly SlotRequest[],
    private readonly boardHost: BoardHost,
    private readonly features: PagingFeatures,
  ) {
    this.bytes = new Uint8Array(memory.buffer);
    this.ram = new BareRam(this.bytes, base, slots);
  }

  board(vcpu: number): BareBoard {
    const { boardHost, memory, ram, features } = this;
    const board = new BareBoard(vcpu, boardHost, memory, ram, features);
    this.boards[vcpu] = board;
    return board;
  }

  attach(vcpu: number, core: VcpuCore, engine: Engine): void {
    this.engine = engine;
    const board = this.boards[vcpu];
    if (!board) throw new Error(`vcpu ${vcpu} has no board`);
    board.core = core;
    board.controlsChanged(false);
  }

  load(pieces: readonly Piece[]): Refusal | undefined {
    for (const piece of pieces)
      for (let done = 0; done < piece.bytes.length; ) {
        const at = piece.gpa + done;
        const part = piece.bytes.subarray(done, done + PAGE - pageOffset(at));
        if (!this.gpa.store(gpa(at), part))
          return refuse(`the image needs memory at gpa ${hex(at)}: give a memslot there`);
        done += part.length;
      }
    return undefined;
  }

  readonly gpa: PageSource<Gpa> = {
    page: (at) => this.pageAt(at),
    store: (at, bytes) => this.store(at, bytes),
    nextMapped: (at) => this.nextFrame(at),
  };
  /** Without a host the two physical spaces are one. */
  readonly hpa: PageSource<Hpa> = {
    page: (at) => this.pageAt(gpa(at)),
    store: (at, bytes) => this.store(gpa(at), bytes),
    nextMapped: (at) => {
      const next = this.nextFrame(gpa(at));
      return next === undefined ? undefined : hpa(next);
    },
  };
  readonly hva: PageSource<Hva> = {
    page: () => undefined,
    store: () => false,
    nextMapped: () => undefined,
  };

  private pageAt(at: Gpa): Uint8Array | undefined {
    const offset = this.ram.offsetOf(gfnOf(at));
    return offset < 0 ? undefined : this.bytes.subarray(offset, offset + PAGE);
  }

  private store(at: Gpa, bytes: Uint8Array): boolean {
    const offset = this.ram.offsetOf(gfnOf(at));
    if (offset < 0) return false;
    this.bytes.set(bytes, offset + pageOffset(at));
    this.engine?.bytesWritten(offset + pageOffset(at), bytes.length);
    return true;
  }

  private nextFrame(at: Gpa): Gpa | undefined {
    if (this.pageAt(at)) return at;
    const next = this.ram.nextFrame(gfnOf(at));
    return next === undefined ? undefined : gpa(next * PAGE);
  }

  controlsReplaced(vcpu: number): boolean {
    const board = this.boards[vcpu];
    if (board?.controlsChanged(true)) return false;
    board?.core.flushTlb(false);
    return true;
  }
  dropPage(): void {}
  beforeSlice(): void {}
  halted(): void {}

  save(): unknown {
    return this.ram.save();
  }
  restore(saved: unknown): void {
    this.ram.restore(saved);
    for (const board of this.boards) board.controlsChanged(false);
  }
}
