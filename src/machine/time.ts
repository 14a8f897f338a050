/**
 * Virtual time. One nanosecond is one retired instruction of any vCPU; while all vCPUs are halted,
 * time jumps to the next timer. Nothing else moves it, so the same launch sees the same times.
 */
export const NS_PER_SECOND = 1_000_000_000;

/** Whole periods of an oscillator of `hz` (below 4 MHz) that have passed at `ns`; exact up to 104 days. */
export function periodsAt(ns: number, hz: number): number {
  const seconds = Math.floor(ns / NS_PER_SECOND);
  return seconds * hz + Math.floor(((ns - seconds * NS_PER_SECOND) * hz) / NS_PER_SECOND);
}

/** The first nanosecond at which `periodsAt` reaches `periods`. */
export function timeOfPeriod(periods: number, hz: number): number {
  const seconds = Math.floor(periods / hz);
  return seconds * NS_PER_SECOND + Math.ceil(((periods - seconds * hz) * NS_PER_SECOND) / hz);
}

/** One alarm of a device: at most one deadline at a time. */
export interface Timer {
  readonly name: string;
  /** `undefined` while disarmed. */
  readonly deadline: number | undefined;
  /** Replaces an earlier deadline. One in the past fires at the next instruction boundary. */
  arm(at: number): void;
  disarm(): void;
}

class QueuedTimer implements Timer {
  deadline: number | undefined;
  sequence = 0;

  constructor(
    private readonly queue: TimerQueue,
    readonly name: string,
    readonly fire: () => void,
  ) {}

  arm(at: number): void {
    this.deadline = at;
    this.sequence = this.queue.nextSequence();
    this.queue.onArmed(at);
  }

  disarm(): void {
    this.deadline = undefined;
  }
}

/** A saved queue: the armed timers by name, and the counter that orders equal deadlines. */
interface SavedTimers {
  readonly sequence: number;
  readonly armed: readonly (readonly [name: string, deadline: number, sequence: number])[];
}

/** Every timer of the machine. Timers due at one time fire in the order in which they were armed. */
export class TimerQueue {
  private readonly timers: QueuedTimer[] = [];
  private sequence = 0;
  /** The scheduler's ear: a deadline may now lie inside the slice that is running. */
  onArmed: (at: number) => void = () => {};

  /** `name` identifies the timer in saved states and is unique in the machine. */
  create(name: string, fire: () => void): Timer {
    if (this.timers.some((timer) => timer.name === name)) throw new Error(`two timers ${name}`);
    const timer = new QueuedTimer(this, name, fire);
    this.timers.push(timer);
    return timer;
  }

  nextSequence(): number {
    return this.sequence++;
  }

  /** Earliest deadline; `Infinity` when no timer is armed. */
  get next(): number {
    let next = Infinity;
    for (const { deadline } of this.timers)
      if (deadline !== undefined && deadline < next) next = deadline;
    return next;
  }

  /** Fires all that is due at `now`, what those arm for `now` or earlier included. */
  runDue(now: number): void {
    for (let timer = this.firstDue(now); timer; timer = this.firstDue(now)) {
      timer.deadline = undefined;
      timer.fire();
    }
  }

  private firstDue(now: number): QueuedTimer | undefined {
    let first: QueuedTimer | undefined;
    for (const timer of this.timers) {
      if (timer.deadline === undefined || timer.deadline > now) continue;
      const earlier =
        first?.deadline === undefined ||
        timer.deadline < first.deadline ||
        (timer.deadline === first.deadline && timer.sequence < first.sequence);
      if (earlier) first = timer;
    }
    return first;
  }

  save(): unknown {
    const armed = this.timers.flatMap(({ name, deadline, sequence }) =>
      deadline === undefined ? [] : [[name, deadline, sequence] as const],
    );
    return { sequence: this.sequence, armed } satisfies SavedTimers;
  }

  restore(saved: unknown): void {
    const { sequence, armed } = saved as SavedTimers;
    this.sequence = sequence;
    for (const timer of this.timers) {
      const entry = armed.find(([name]) => name === timer.name);
      timer.deadline = entry?.[1];
      timer.sequence = entry?.[2] ?? 0;
    }
  }
}
