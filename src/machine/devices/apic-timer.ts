import { copyPlain } from "../plain-state";
import type { Timer, TimerQueue } from "../time";

/** LVT timer bits 18:17. */
export const TIMER_MODE = { oneShot: 0, periodic: 1, tscDeadline: 2 } as const;

/** The local APIC's bus runs at 1 GHz of virtual time: one count is `divisor` nanoseconds. */
const BUS_NS = 1;

interface Counter {
  mode: number;
  initial: number;
  /** Nanoseconds a count lasts. */
  period: number;
  /** Time at which `initial` was loaded; later, in periodic mode, of the last expiry. */
  loadedAt: number;
  running: boolean;
  /** IA32_TSC_DEADLINE; 0 = disarmed. */
  deadline: bigint;
}

/** The timer of one local APIC in its three modes (SDM 3A 11.5.4). Never early. */
export class ApicTimer {
  private c: Counter = {
    mode: TIMER_MODE.oneShot,
    initial: 0,
    period: 2 * BUS_NS,
    loadedAt: 0,
    running: false,
    deadline: 0n,
  };
  private readonly timer: Timer;

  /** `tscOffset` is what this vCPU's TSC has beyond virtual time. */
  constructor(
    name: string,
    timers: TimerQueue,
    private readonly now: () => number,
    private readonly tscOffset: () => bigint,
    private readonly expired: () => void,
  ) {
    this.timer = timers.create(name, () => this.fire());
  }

  reset(): void {
    this.timer.disarm();
    this.c = { ...this.c, mode: 0, initial: 0, period: 2, running: false, deadline: 0n };
  }

  /** A change between TSC-deadline and the others disarms (SDM 3A 11.5.4.1). */
  setMode(mode: number): void {
    if (mode === this.c.mode) return;
    const wasDeadline = this.c.mode === TIMER_MODE.tscDeadline;
    this.c.mode = mode;
    if (wasDeadline || mode === TIMER_MODE.tscDeadline) {
      this.timer.disarm();
      this.c.running = false;
      this.c.deadline = 0n;
      this.c.initial = 0;
    }
  }

  /** Divide configuration: bits 3, 1 and 0 hold log2 of the divisor less 1; 111 divides by 1. */
  setDivide(value: number): void {
    const code = ((value >> 1) & 4) | (value & 3);
    const current = this.currentCount;
    this.c.period = BUS_NS * (code === 7 ? 1 : 2 << code);
    if (this.c.running) this.count(current);
  }

  get initialCount(): number {
    return this.c.initial;
  }

  set initialCount(value: number) {
    if (this.c.mode === TIMER_MODE.tscDeadline) return;
    this.c.initial = value;
    this.c.running = value !== 0;
    if (value === 0) this.timer.disarm();
    else this.count(value);
  }

  private count(from: number): void {
    this.c.loadedAt = this.now() - (this.c.initial - from) * this.c.period;
    this.timer.arm(this.c.loadedAt + this.c.initial * this.c.period);
  }

  get currentCount(): number {
    const { running, initial, period, loadedAt } = this.c;
    if (!running) return 0;
    return Math.max(0, initial - Math.floor((this.now() - loadedAt) / period));
  }

  get tscDeadline(): bigint {
    return this.c.deadline;
  }

  /** Ignored outside TSC-deadline mode; 0 disarms. */
  set tscDeadline(value: bigint) {
    if (this.c.mode !== TIMER_MODE.tscDeadline) return;
    this.c.deadline = value;
    if (value === 0n) this.timer.disarm();
    else this.timer.arm(Math.max(this.now(), Number(value - this.tscOffset())));
  }

  private fire(): void {
    const { c } = this;
    c.deadline = 0n;
    if (c.mode === TIMER_MODE.periodic) {
      c.loadedAt += c.initial * c.period;
      this.timer.arm(c.loadedAt + c.initial * c.period);
    } else c.running = false;
    this.expired();
  }

  save(): unknown {
    return copyPlain(this.c);
  }
  restore(saved: unknown): void {
    this.c = copyPlain(saved as Counter);
  }
}
