import type { StopReason } from "../machine";

/** Something that moves the machine on, a slice at a time, so that messages are heard in between. */
export interface Work {
  /** `undefined`: not finished, call again. */
  slice(): StopReason | undefined;
  /** What a client calls the stop at the end of it. */
  readonly endsAs: "step" | "pause";
}

/** Why the machine stands still: the machine's own reason, or the person's wish. */
export type Halt = StopReason | { readonly kind: "pause" } | { readonly kind: "step" };

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
    this.defer(() => this.turn());
  }

  /** Ends the work at the next slice; nothing to do when already stopped. */
  pause(): void {
    this.pauseWanted = this.running;
  }

  /** Forgets the work without a word: the session is over. */
  dispose(): void {
    this.work = undefined;
  }

  private turn(): void {
    const { work } = this;
    if (!work) return;
    if (this.pauseWanted) {
      this.halt({ kind: "pause" });
      return;
    }
    try {
      const reason = work.slice();
      if (reason === undefined) this.defer(() => this.turn());
      else this.halt(reason.kind === "limit" ? { kind: work.endsAs } : reason);
    } catch (problem) {
      this.work = undefined;
      this.onBug(problem);
    }
  }

  private halt(halt: Halt): void {
    this.work = undefined;
    this.onHalt(halt);
  }
}
