import type { StopReason } from "../machine";

/** Why the machine stands still: the machine's own reason, or the person's wish. */
export type Halt =
  | Exclude<StopReason, { readonly kind: "limit" }>
  | { readonly kind: "pause" }
  | { readonly kind: "step" };

/** Moves the machine on, a slice at a time, so that messages are heard in between; `undefined`: go on. */
export type Work = () => Halt | undefined;

/** Runs one piece of work at a time; `onHalt` is told once for each. */
export class Runner {
  private work: Work | undefined;
  private pauseWanted = false;

  constructor(
    private readonly defer: (work: () => void) => void,
    private readonly onHalt: (halt: Halt) => void,
    private readonly onBug: (problem: unknown) => void,
  ) {}

  get running(): boolean {
    return this.work !== undefined;
  }

  start(work: Work): void {
    this.work = work;
    this.pauseWanted = false;
    this.defer(() => this.turn(work));
  }

  /** Ends the work at the next slice; nothing to do when already stopped. */
  pause(): void {
    this.pauseWanted = this.running;
  }

  /** Forgets the work without a word: the session is over, or begins again. */
  dispose(): void {
    this.work = undefined;
  }

  private turn(work: Work): void {
    if (this.work !== work) return; // forgotten while it waited for its turn
    try {
      const halt = this.pauseWanted ? ({ kind: "pause" } as const) : work();
      if (halt) {
        this.work = undefined;
        this.onHalt(halt);
      } else this.defer(() => this.turn(work));
    } catch (problem) {
      this.work = undefined;
      this.onBug(problem);
    }
  }
}
