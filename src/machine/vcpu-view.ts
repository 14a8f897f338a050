import { type CpuState, FLAG, S, type VcpuCore } from "../x86";
import type { VcpuView } from "./machine";
import type { Runnable } from "./scheduler";
import { ACTIVITY } from "./signals";

const NAMES = ["running", "halted", "waiting for SIPI", "shut down"] as const;

/** The `pending` field: an event that was accepted and is yet to be delivered (layout.ts). */
const PENDING = { vector: 0xff, hasError: 1 << 16, hasCr2: 1 << 17, valid: 1 << 31 } as const;

/** Registers that choose how linear addresses are translated. */
export interface Controls {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
}
const CONTROLS = ["cr0", "cr3", "cr4", "efer"] as const;

/** One vCPU of the machine, for debuggers and for the scheduler. */
export class MachineVcpu implements VcpuView, Runnable {
  private controls: Controls = { cr0: 0n, cr3: 0n, cr4: 0n, efer: 0n };

  constructor(
    readonly id: number,
    readonly core: VcpuCore,
  ) {}

  get state(): CpuState {
    return this.core.state;
  }
  get retired(): number {
    return this.core.retired;
  }
  get activity(): (typeof NAMES)[number] {
    return NAMES[this.state.u32(S.activity)] ?? "shut down";
  }

  /** Remembers the registers that paging depends on. */
  noteControls(): void {
    const { cr0, cr3, cr4, efer } = this.state;
    this.controls = { cr0, cr3, cr4, efer };
  }
  /** What they were, when one has changed since it was noted. */
  changedControls(): Controls | undefined {
    const { state, controls } = this;
    const same = CONTROLS.every((name) => state[name] === controls[name]);
    return same ? undefined : controls;
  }

  /** Takes a debugger's registers back. */
  setControls(controls: Controls): void {
    for (const name of CONTROLS) this.state[name] = controls[name];
  }

  get pending(): VcpuView["pending"] {
    const word = this.state.u32(S.pending);
    if (!(word & PENDING.valid)) return undefined;
    return {
      vector: word & PENDING.vector,
      ...(word & PENDING.hasError ? { error: this.state.u32(S.pending + 4) } : {}),
      ...(word & PENDING.hasCr2 ? { cr2: this.state.u64(S.pending + 8) } : {}),
    };
  }

  /** Something would wake it from HLT: an NMI, or an interrupt while IF is set. */
  private get awoken(): boolean {
    const { state } = this;
    if (state.u32(S.nmiPending) !== 0 && state.u32(S.nmiBlocked) === 0) return true;
    return state.u32(S.irqLine) !== 0 && (state.u64(S.rflags) & FLAG.IF) !== 0n;
  }

  get canRun(): boolean {
    const activity = this.state.u32(S.activity);
    return activity === ACTIVITY.running || (activity === ACTIVITY.halted && this.awoken);
  }

  /** Halted, and an interrupt could end that. */
  get mayWake(): boolean {
    const { state } = this;
    return state.u32(S.activity) === ACTIVITY.halted && (state.u64(S.rflags) & FLAG.IF) !== 0n;
  }
}
