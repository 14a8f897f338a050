import { ACCESS, type Board, type GuestFault } from "./board";
import { GuestMemory } from "./guest-memory";
import type { Insn, OperandAccess } from "./insn";
import { CR4, FLAG, S, TLB_BYTES, TLB_ENTRIES, VCPU_BYTES } from "./layout";
import { deriveFields, MODE_BITS, type Mode, type Modes } from "./mode";
import { Operands } from "./operands";
import { CpuState } from "./state";
import type { SystemContext } from "./system/context";
import type { CpuModel } from "./system/cpu-model";
import { resetState } from "./system/reset";
import { Tlb, type TlbView } from "./tlb";
import { Translator } from "./translate";

/** What a vCPU needs of the engine that runs it. */
export interface VcpuHost {
  readonly memory: WebAssembly.Memory;
  readonly modes: Modes;
  holdsCode(offset: number): boolean;
  bytesWritten(offset: number, length: number): void;
  clearJumpCache(): void;
  dropCode(): void;
  barriersChanged(vcpu: VcpuCore): void;
  /** Units used since the vCPU's `retiredBase` was last brought up to date. */
  unitsInFlight(vcpu: VcpuCore): number;
}

/** Bits of `S.jumpKey`: generation, vCPU, mode. */
const VCPU_BITS = 6;
const GENERATIONS = 1 << (32 - VCPU_BITS - MODE_BITS);

const PAE = Number(CR4.PAE);
/** EFLAGS.AC and CR0.AM share a bit number. */
const AC = 1 << 18;
const AM = 1 << 18;

/** Parts of the struct that mean nothing between two slices. */
const ENGINE_FIELDS: readonly (readonly [number, number])[] = [
  [S.budget, S.retiredBase],
  [S.exitRec, S.irqLine],
  [S.jumpKey, S.seg],
  [S.bounce, S.tlb],
];

/** DR7 enable bits, and type and length of each debug register (SDM 3B 17.2.4). */
const enabledIn = (dr7: number, n: number): boolean => ((dr7 >> (2 * n)) & 3) !== 0;
const kindIn = (dr7: number, n: number): number => (dr7 >> (16 + 4 * n)) & 3;
const lengthIn = (dr7: number, n: number): number => [1, 2, 8, 4][(dr7 >> (18 + 4 * n)) & 3]!;

/** A data breakpoint of DR0…DR3. */
export interface DataBreakpoint {
  readonly bit: number;
  readonly from: bigint;
  readonly bytes: number;
  /** Reads hit too. */
  readonly reads: boolean;
}

/** One vCPU: its struct, its TLB, and what system instructions need. */
export class VcpuCore {
  readonly tlb: Tlb;
  readonly translator: Translator;
  readonly mem: GuestMemory;
  readonly context: SystemContext & OperandAccess;
  mode: Mode;
  /** Execution breakpoints of DR0…DR3 by linear address, with their DR6 bit. */
  codeBreakpoints: ReadonlyMap<bigint, number> = new Map();
  dataBreakpoints: readonly DataBreakpoint[] = [];
  /** Units used in all earlier slices. */
  retiredBase = 0;
  /** Instruction that the context describes. */
  insn: Insn | undefined;
  /** Accesses at the moment are those of event delivery, not of an instruction. */
  delivering = false;
  /** Events the board has been asked about and stopped at: not asked again. */
  announced: string | undefined;
  /** Address whose missing instruction has been reported. */
  reported: bigint | undefined;
  /** DR6 bits of data breakpoints that the instruction at hand has hit. */
  debugHits = 0;
  private jumpGeneration = 1;
  /** Always the struct where it is: at 0 while running, else parked. */
  readonly state: CpuState;

  constructor(
    private readonly host: VcpuHost,
    readonly index: number,
    readonly board: Board,
    readonly model: CpuModel,
    readonly parkAddress: number,
  ) {
    const { memory } = host;
    this.state = new CpuState(memory, parkAddress);
    this.tlb = new Tlb(memory, () => this.state.base);
    this.tlb.clear();
    const state = (): CpuState => this.state;
    this.translator = new Translator(
      board,
      state,
      this.tlb,
      (offset) => host.holdsCode(offset),
      () => this.announceEmulation(),
    );
    this.mem = new GuestMemory(
      memory,
      board,
      this.translator,
      (offset, length) => host.bytesWritten(offset, length),
      (va, bytes, access) => {
        if (!(access & ACCESS.implicit)) this.noteAccess(va, bytes, (access & ACCESS.write) !== 0);
      },
    );
    this.mode = host.modes.of(this.state);
    this.context = this.buildContext();
  }

  private buildContext(): SystemContext & OperandAccess {
    const core = this;
    const operands = new Operands(() => core.state, core.mem);
    return {
      board: core.board,
      ask: askingOnce(core),
      mem: core.mem,
      model: core.model,
      get state() {
        return core.state;
      },
      get rip() {
        return core.insn?.ip ?? core.state.rip;
      },
      get nextRip() {
        return core.insn?.nextIp ?? core.state.rip;
      },
      flushTlb: (keepGlobal) => core.flushTlb(keepGlobal),
      flushTlbPage: (va) => core.flushTlbPage(va),
      stateChanged: () => core.stateChanged(),
      operandValue: (insn, n) => operands.operandValue(insn, n),
      setOperand: (insn, n, value) => operands.setOperand(insn, n, value),
      effectiveAddress: (insn) => operands.effectiveAddress(insn),
    };
  }

  /** Event delivery has no instruction to tell of. */
  announceEmulation(): void {
    if (this.insn) this.board.emulating?.(this.insn);
  }

  /** Units used, exact at any exit. */
  get retired(): number {
    return this.retiredBase + this.host.unitsInFlight(this);
  }

  flushTlb(keepGlobal: boolean): void {
    if (this.tlb.flush(keepGlobal)) this.dropJumps();
  }
  /** INVLPG: all fragments of a large page, all banks. */
  flushTlbPage(va: bigint): void {
    if (this.tlb.flushPage(va, this.state.u32(S.cr4) & PAE ? 21 : 22)) this.dropJumps();
  }
  tlbEntries(): readonly TlbView[] {
    return this.tlb.list();
  }

  /** Jumps across pages are looked up again: a translation for fetch may have changed. */
  dropJumps(): void {
    this.jumpGeneration++;
    if (this.jumpGeneration === GENERATIONS) {
      this.host.clearJumpCache();
      this.jumpGeneration = 1;
    }
    this.writeJumpKey();
  }
  get jumpKey(): number {
    const high = (this.jumpGeneration << VCPU_BITS) | this.index;
    return ((high << MODE_BITS) | this.mode.id) >>> 0;
  }
  private writeJumpKey(): void {
    this.state.setU32(S.jumpKey, this.jumpKey);
  }

  /** DR0…DR3 data breakpoints: remembered now, #DB after the instruction (SDM 3B 17.2.5). */
  noteAccess(va: bigint, bytes: number, write: boolean): void {
    for (const { bit, from, bytes: length, reads } of this.dataBreakpoints) {
      const hit = va < from + BigInt(length) && from < va + BigInt(bytes) && (write || reads);
      if (hit) this.debugHits |= bit;
    }
  }

  /** Power-on values. */
  reset(): void {
    resetState(this.state, "power-on", this.model);
    this.tlb.clear();
    this.dropJumps();
    this.stateChanged();
  }
  /** INIT: as reset, keeping what INIT keeps. */
  init(): void {
    resetState(this.state, "init", this.model);
    this.tlb.clear();
    this.dropJumps();
    this.stateChanged();
  }

  /** After TypeScript changed registers, segments or control registers: works out what follows from them. */
  stateChanged(): void {
    const { state } = this;
    this.mode = this.host.modes.of(state);
    deriveFields(state, this.mode);
    this.checksAlignment =
      this.mode.user && (state.u32(S.rflags) & AC) !== 0 && (state.u32(S.cr0) & AM) !== 0;
    state.setU32(S.tlbBank, this.dataBank);
    this.writeJumpKey();
    this.readDebugRegisters();
  }

  private readDebugRegisters(): void {
    const { state } = this;
    const dr7 = state.u32(S.dr + 56);
    const nothingSet = (dr7 & 0xff) === 0;
    if (nothingSet && this.codeBreakpoints.size === 0 && this.dataBreakpoints.length === 0) return;
    const code = new Map<bigint, number>();
    const data: DataBreakpoint[] = [];
    for (let n = 0; n < 4; n++) {
      if (!enabledIn(dr7, n)) continue;
      const address = state.u64(S.dr + 8 * n);
      const kind = kindIn(dr7, n);
      const bytes = lengthIn(dr7, n);
      if (kind === 0) code.set(address, (code.get(address) ?? 0) | (1 << n));
      else data.push({ bit: 1 << n, from: address & -BigInt(bytes), bytes, reads: kind === 3 });
    }
    this.dataBreakpoints = data;
    const before = this.codeBreakpoints;
    const same =
      before.size === code.size && [...code].every(([at, bit]) => before.get(at) === bit);
    if (same) return;
    this.codeBreakpoints = code;
    this.host.barriersChanged(this);
  }

  /** Could take an external interrupt now. */
  get interruptWindow(): boolean {
    const { state } = this;
    return (state.u64(S.rflags) & FLAG.IF) !== 0n && state.u32(S.shadow) === 0;
  }

  /** CR0.AM, EFLAGS.AC and level 3 (SDM 3A 6.15, #AC). */
  checksAlignment = false;
  /** Every access must ask: data breakpoints are armed, or alignment is checked. */
  get careful(): boolean {
    return this.dataBreakpoints.length > 0 || this.checksAlignment;
  }
  /** Offset of the TLB bank for data accesses from `S.tlb`. */
  get dataBank(): number {
    const bank = this.mode.user ? 0 : this.state.u32(S.rflags) & AC ? 2 : 1;
    return bank * TLB_ENTRIES * TLB_BYTES;
  }
  save(): unknown {
    const { base, view } = this.state;
    const struct = new Uint8Array(view.buffer.slice(base, base + VCPU_BYTES));
    // Not the guest's: scratch of the engine, and which translations it withholds at the moment.
    for (const [from, to] of ENGINE_FIELDS) struct.fill(0, from, to);
    Tlb.releaseAll(new Uint32Array(struct.buffer), S.tlb / 4);
    return {
      struct,
      retired: this.retired,
      announced: this.announced,
      reported: this.reported,
    };
  }
  restore(saved: unknown): void {
    const { struct, retired, announced, reported } = saved as {
      struct: Uint8Array;
      retired: number;
      announced: string | undefined;
      reported: bigint | undefined;
    };
    const { base, view } = this.state;
    new Uint8Array(view.buffer).set(struct, base);
    this.retiredBase = retired - this.host.unitsInFlight(this);
    this.announced = announced;
    this.reported = reported;
    this.tlb.reread();
    this.host.dropCode();
    this.dropJumps();
    this.stateChanged();
  }
}

/** `announced` for a system instruction that the board stopped before. */
export const sysopText = (rip: bigint): string => `instruction at ${rip}`;

/** An instruction that the board stopped before is not announced a second time. */
function askingOnce(core: VcpuCore): SystemContext["ask"] {
  const asked = (): boolean => core.announced === sysopText(core.state.rip);
  return {
    beforeInvlpg: (va) => !asked() && core.board.beforeInvlpg(va),
    beforeControlWrite: (register, old, value) =>
      !asked() && core.board.beforeControlWrite(register, old, value),
  };
}

/** Text that tells one fault from another, for `announced`. */
export const faultText = ({ vector, error, cr2 }: GuestFault, rip: bigint): string =>
  `${vector} ${error} ${cr2} ${rip}`;
