/**
 * Numbers that stand for things of the present stop (`variablesReference`, frame ids). They die when
 * the guest moves on; numbers are never used again, so a stale one is recognised.
 */
export class Handles<T> {
  private next = 1;
  private first = 1;
  private things: T[] = [];

  add(thing: T): number {
    this.things.push(thing);
    return this.next++;
  }

  /** `undefined` for a number of an earlier stop, or one never given out. */
  get(handle: number): T | undefined {
    return this.things[handle - this.first];
  }

  clear(): void {
    this.first = this.next;
    this.things = [];
  }
}
