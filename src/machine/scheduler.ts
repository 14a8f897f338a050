/** A vCPU as the scheduler sees it. */
export interface Runnable {
  /** It has instructions to run, or something that will wake it is waiting. */
  readonly canRun: boolean;
}

/** Where in the schedule a run stands: part of the saved state. */
interface Turn {
  /** Whose turn it is. */
  current: number;
  /** Instructions left of the turn. */
  left: number;
}

/**
 * Round-robin: each vCPU runs `quantum` instructions, or until it halts or pauses. The order depends
 * on nothing but the guest, so a run can be cut anywhere and goes on the same.
 */
export class Scheduler {
  private turn: Turn;

  constructor(
    private readonly vcpus: readonly Runnable[],
    private readonly quantum: number,
  ) {
    this.turn = { current: 0, left: quantum };
  }

  get current(): number {
    return this.turn.current;
  }
  /** Instructions the current vCPU may still run. */
  get left(): number {
    return this.turn.left;
  }

  /** Gives the turn to a vCPU that can run; false when none can. */
  choose(): boolean {
    const { current, left } = this.turn;
    if (left > 0 && this.vcpus[current]?.canRun) return true;
    const count = this.vcpus.length;
    for (let i = 1; i <= count; i++) {
      const next = (current + i) % count;
      if (!this.vcpus[next]?.canRun) continue;
      this.turn = { current: next, left: this.quantum };
      return true;
    }
    return false;
  }

  spend(instructions: number): void {
    this.turn.left -= instructions;
  }
  /** HLT, PAUSE, shutdown: the next one's turn. */
  yield(): void {
    this.turn.left = 0;
  }

  save(): unknown {
    return { ...this.turn };
  }
  restore(saved: unknown): void {
    this.turn = { ...(saved as Turn) };
  }
}
