/** Counts the machine's instructions and turns them into virtual time (platform.md 5). */
export class Clock {
  private retired = 0;
  /** Nanoseconds skipped while every vCPU was halted. */
  private skipped = 0;
  /** Instructions of the slice that is running, exact whenever a board asks. */
  private inSlice: () => number = () => 0;

  /** Instructions retired by all vCPUs. */
  get tick(): number {
    return this.retired + this.inSlice();
  }
  /** Nanoseconds since power-on. */
  get now(): number {
    return this.tick + this.skipped;
  }

  /** `progress`: what the slice has retired so far. */
  beginSlice(progress: () => number): void {
    this.inSlice = progress;
  }
  endSlice(retired: number): void {
    this.inSlice = () => 0;
    this.retired += retired;
  }

  /** Idle time: nothing runs until `time`. */
  skipTo(time: number): void {
    this.skipped += Math.max(0, time - this.now);
  }

  save(): unknown {
    return [this.retired, this.skipped];
  }
  restore(saved: unknown): void {
    [this.retired, this.skipped] = saved as [number, number];
  }
}
