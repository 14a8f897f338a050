import { Engine, type VcpuCore } from "../../../../src/x86/cpu/engine";
import {
  CPU_FIXED_BYTES,
  CR0,
  CR4,
  EFER,
  S,
  SEG,
  VCPU_BYTES,
} from "../../../../src/x86/cpu/layout";
import { PAGE, SCRATCH_BYTES, SPACE, WRITABLE_BYTES } from "./address-space";
import { type Case, flagsOf, type Mode, type Outcome, registersOf, TRAP } from "./case";
import { ReplayBoard } from "./replay-board";

/** What surrounds the instruction: HLT, which is #GP in ring 3, in place of the native INT3. */
const FILLER = 0xf4;

/** Runs a case may take: in single steps one for each REP iteration. */
const STEP_LIMIT = 64;

const align = (at: number): number => (at + PAGE - 1) & -PAGE;
const PARK = align(CPU_FIXED_BYTES);
const ARENA = align(PARK + 2 * VCPU_BYTES);
const ARENA_BYTES = 16 << 20;
const CODE = ARENA + ARENA_BYTES;
const SCRATCH = CODE + SPACE.codePages * PAGE;
const MEMORY_BYTES = SCRATCH + SCRATCH_BYTES;

/** Flat ring-3 segments as Linux has them. */
const CODE_SEGMENT = {
  64: { selector: 0x33, attr: 0xa0fb },
  32: { selector: 0x23, attr: 0xc0fb },
} as const;
const DATA_SEGMENT = { selector: 0x2b, attr: 0xc0f3 };

/** The two ways through the engine. */
export const PACES = [
  { name: "in single steps", budget: 1 },
  { name: "in blocks", budget: 1000 },
] as const;

/** Bytes of `after` that differ, by whole words first: nearly all are equal. */
function changedBytes(before: Uint8Array, after: Uint8Array): [number, number][] {
  const words = before.length / 4;
  const old = new Int32Array(before.buffer, before.byteOffset, words);
  const now = new Int32Array(after.buffer, after.byteOffset, words);
  const changes: [number, number][] = [];
  for (let word = 0; word < words; word++) {
    if (old[word] === now[word]) continue;
    for (let at = 4 * word; at < 4 * word + 4; at++)
      if (before[at] !== after[at]) changes.push([at, after[at]!]);
  }
  return changes;
}

/** Runs cases on the engine, alone on a board that has the case's pages and nothing else. */
export class Replayer {
  private readonly bytes: Uint8Array;
  private readonly engine: Engine;
  private readonly vcpu: VcpuCore;
  private readonly board: ReplayBoard;

  constructor(
    private readonly mode: Mode,
    private readonly files: readonly (readonly bigint[])[],
    private readonly memory: Uint8Array,
    /** Instructions a run: 1 for single steps, more for blocks and for REP in bulk. */
    private readonly budget: number,
  ) {
    const wasm = new WebAssembly.Memory({ initial: Math.ceil(MEMORY_BYTES / 65536) });
    this.bytes = new Uint8Array(wasm.buffer);
    this.bytes.fill(FILLER, CODE, SCRATCH);
    this.board = new ReplayBoard(CODE, SCRATCH);
    this.engine = new Engine({
      memory: wasm,
      arenaBase: ARENA,
      arenaBytes: ARENA_BYTES,
      parkBase: PARK,
    });
    this.vcpu = this.engine.addVcpu(this.board);
    this.enterUserMode();
  }

  private enterUserMode(): void {
    this.vcpu.reset();
    const { state } = this.vcpu;
    state.cr0 = CR0.PE | CR0.MP | CR0.ET | CR0.NE | CR0.WP | CR0.AM | CR0.PG;
    state.cr4 = CR4.PAE | CR4.PGE | CR4.OSFXSR | CR4.OSXMMEXCPT;
    state.efer = EFER.SCE | EFER.LME | EFER.LMA | EFER.NX;
    const flat = { base: 0n, lo: 0, hi: 0xffff_ffff, unusable: false };
    state.setSegment(SEG.cs, { ...flat, ...CODE_SEGMENT[this.mode] });
    for (const data of [SEG.ss, SEG.ds, SEG.es])
      state.setSegment(data, { ...flat, ...DATA_SEGMENT });
    for (const none of [SEG.fs, SEG.gs])
      state.setSegment(none, { selector: 0, base: 0n, lo: 0, hi: 0, attr: 0, unusable: true });
    if (this.mode === 64) {
      const gs = { selector: 0, base: BigInt(SPACE.gsBase), lo: 0, hi: 0, attr: 0, unusable: true };
      state.setSegment(SEG.gs, gs);
    }
    this.vcpu.stateChanged();
  }

  run(each: Case): Outcome {
    const { state } = this.vcpu;
    const scratch = this.bytes.subarray(SCRATCH, SCRATCH + SCRATCH_BYTES);
    scratch.set(this.memory);
    for (const { at, bytes } of each.patches) scratch.set(bytes, at);
    const before = scratch.slice(0, WRITABLE_BYTES);
    this.place(each.ip, each.code);
    registersOf(each, this.files).forEach((value, n) => {
      state.setGpr(n, value);
    });
    state.rip = BigInt(each.ip);
    state.rflags = BigInt(flagsOf(each));
    state.setU32(S.shadow, 0);
    this.vcpu.stateChanged();
    const fault = this.execute(each);
    this.place(each.ip, new Uint8Array(each.code.length).fill(FILLER));
    const changes = changedBytes(before, scratch);
    const outcome: Outcome = {
      trap: fault?.vector ?? TRAP.breakpoint,
      error: fault?.error ?? 0,
      cr2: fault?.cr2 ?? 0n,
      rip: state.rip,
      flags: Number(state.rflags),
      gpr: Array.from({ length: 16 }, (_, n) => BigInt.asUintN(this.mode, state.gpr(n))),
      changes,
    };
    for (const word of [0, 4, 8, 12]) state.setU32(S.pending + word, 0);
    return outcome;
  }

  /**
   * Runs until a fault. That of the HLT behind every way out is the instruction's good end; single steps
   * stop in front of it.
   */
  private execute(each: Case): ReplayBoard["fault"] {
    const { state } = this.vcpu;
    this.board.fault = undefined;
    for (let left = STEP_LIMIT; left > 0; left--) {
      const { why, text } = this.engine.run(this.vcpu, this.budget);
      const atEnd = state.rip !== BigInt(each.ip) && this.isFiller(state.rip);
      if (this.board.fault) return atEnd ? undefined : this.board.fault;
      if (why !== "budget") throw new Error(`${each.form}: run ended with ${why} ${text ?? ""}`);
      if (atEnd) return undefined;
    }
    throw new Error(`${each.form}: still running after ${STEP_LIMIT} runs`);
  }

  private isFiller(rip: bigint): boolean {
    const at = Number(rip) - SPACE.code;
    return at >= 0 && at < SPACE.codePages * PAGE && this.bytes[CODE + at] === FILLER;
  }

  private place(ip: number, code: Uint8Array): void {
    const at = CODE + ip - SPACE.code;
    this.bytes.set(code, at);
    this.engine.bytesWritten(at, code.length);
  }
}
