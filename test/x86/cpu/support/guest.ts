import { Engine, type RunResult, type VcpuCore } from "../../../../src/x86/cpu/engine";
import {
  CPU_FIXED_BYTES,
  CR0,
  CR4,
  EFER,
  GPR,
  SEG,
  VCPU_BYTES,
} from "../../../../src/x86/cpu/layout";
import type { CpuState } from "../../../../src/x86/cpu/state";
import { FlatBoard } from "./flat-board";

const WASM_PAGE = 65536;
const ARENA_BYTES = 4 << 20;
const PARK = CPU_FIXED_BYTES;
const MAX_VCPUS = 4;
const ARENA = Math.ceil((PARK + MAX_VCPUS * VCPU_BYTES) / 4096) * 4096;
const RAM = ARENA + ARENA_BYTES;

export interface GuestOptions {
  readonly bits?: 16 | 32 | 64;
  readonly user?: boolean;
  readonly ramBytes?: number;
  readonly arenaBytes?: number;
}

/** Where programs are put, and where their stack starts. */
export const CODE_AT = 0x1000;
export const STACK_AT = 0x9000;

/** A processor on flat memory with a program in it, for tests that are about instructions. */
export class Guest {
  readonly memory: WebAssembly.Memory;
  readonly ram: Uint8Array;
  readonly engine: Engine;
  readonly board: FlatBoard;
  readonly vcpu: VcpuCore;

  constructor(options: GuestOptions = {}) {
    const ramBytes = options.ramBytes ?? 1 << 20;
    const memory = new WebAssembly.Memory({ initial: Math.ceil((RAM + ramBytes) / WASM_PAGE) });
    this.memory = memory;
    this.ram = new Uint8Array(memory.buffer, RAM, ramBytes);
    const arenaBytes = options.arenaBytes ?? ARENA_BYTES;
    this.engine = new Engine({ memory, arenaBase: ARENA, arenaBytes, parkBase: PARK });
    this.board = new FlatBoard(RAM, ramBytes / 4096);
    this.vcpu = this.engine.addVcpu(this.board);
    this.vcpu.reset();
    for (const register of Object.values(GPR)) this.state.setGpr(register, 0n);
    const bits = options.bits ?? 64;
    if (bits !== 16) this.enterProtected(bits, options.user ?? false);
    else this.state.setSegment(SEG.cs, { ...this.state.segment(SEG.cs), selector: 0, base: 0n });
    this.state.rip = BigInt(CODE_AT);
    this.state.setGpr(GPR.rsp, BigInt(STACK_AT));
    this.vcpu.stateChanged();
  }

  private enterProtected(bits: 32 | 64, user: boolean): void {
    const { state } = this;
    state.cr0 = CR0.PE | CR0.ET | CR0.PG;
    state.cr4 = CR4.PAE;
    if (bits === 64) state.efer = EFER.LME | EFER.LMA;
    const ring = user ? 0x60 : 0;
    const flat = { base: 0n, lo: 0, hi: 0xffff_ffff, unusable: false };
    const code = (bits === 64 ? 0xa09b : 0xc09b) | ring;
    state.setSegment(SEG.cs, { ...flat, selector: user ? 0xb : 8, attr: code });
    for (const data of [SEG.es, SEG.ss, SEG.ds])
      state.setSegment(data, { ...flat, selector: user ? 0x13 : 0x10, attr: 0xc093 | ring });
  }

  get state(): CpuState {
    return this.vcpu.state;
  }

  /** Puts a program (hex, spaces ignored) at `at`, by default where rip is. */
  code(hex: string, at = CODE_AT): this {
    return this.bytes(at, Buffer.from(hex.replaceAll(/\s/g, ""), "hex"));
  }
  bytes(at: number, bytes: Uint8Array): this {
    this.ram.set(bytes, at);
    this.engine.bytesWritten(RAM + at, bytes.length);
    return this;
  }
  set(register: keyof typeof GPR, value: bigint): this {
    this.state.setGpr(GPR[register], value);
    return this;
  }
  get(register: keyof typeof GPR): bigint {
    return this.state.gpr(GPR[register]);
  }
  read(at: number, bytes: number): bigint {
    const view = new DataView(this.ram.buffer, this.ram.byteOffset);
    const all = view.getBigUint64(at, true);
    return BigInt.asUintN(8 * bytes, all);
  }
  run(budget = 100_000): RunResult {
    return this.engine.run(this.vcpu, budget);
  }
}
