/** A walker that looks at page tables without mmu_lock, between its `enter` and its `leave`. */
export type Reader = number;

interface Retired {
  /** Readers up to this number may still see the page. */
  readonly last: Reader;
  readonly free: () => void;
}

/**
 * Deferred freeing of page tables (RCU, and the wait for lockless walkers): a table that nothing points
 * at any more may still be in the hands of a walker that read the pointer before. It is freed when every
 * reader that was inside at the time has left, at once when there is none (INV-T-04).
 */
export class GracePeriod {
  private latest: Reader = 0;
  /** Rising. */
  private readonly inside: Reader[] = [];
  /** In the order they were retired. */
  private readonly waiting: Retired[] = [];

  /** Number of tables that wait for readers to leave. */
  get pending(): number {
    return this.waiting.length;
  }

  /** Some reader is inside. */
  get occupied(): boolean {
    return this.inside.length > 0;
  }

  enter(): Reader {
    this.inside.push(++this.latest);
    return this.latest;
  }
  leave(reader: Reader): void {
    const at = this.inside.indexOf(reader);
    if (at < 0) throw new Error(`reader ${reader} is not inside`);
    this.inside.splice(at, 1);
    this.reap();
  }

  /** `free` is called when nobody can see the table any more. */
  retire(free: () => void): void {
    this.waiting.push({ last: this.latest, free });
    this.reap();
  }

  /** What `free` calls may let other actors run, who enter, leave and retire in turn. */
  private reap(): void {
    while (this.waiting.length > 0) {
      const oldest = this.inside[0];
      if (oldest !== undefined && oldest <= this.waiting[0]!.last) return;
      this.waiting.shift()!.free();
    }
  }
}
