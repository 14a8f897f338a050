/** Memory of the kernel that it can do without, such as shadow pages (struct shrinker). */
export interface Shrinker {
  /** Pages it has. */
  count(): number;
  /** Gives up to so many of them back; how many it did. */
  scan(pages: number): number;
}

interface Member {
  /** Place in the order of registration. */
  readonly id: number;
  readonly shrinker: Shrinker;
}

/** Those who joined, in turn: who was asked goes to the end of the list (as KVM's vm_list does). */
export class Shrinkers {
  private list: Member[] = [];
  private next = 0;

  /** Returns the way to leave. */
  register(shrinker: Shrinker): () => void {
    const member = { id: this.next++, shrinker };
    this.list.push(member);
    return () => {
      this.list = this.list.filter((other) => other !== member);
    };
  }

  /** Pages that all of them have together. */
  count(): number {
    return this.list.reduce((pages, { shrinker }) => pages + shrinker.count(), 0);
  }

  /** Asks the first that has any pages, and no other; how many came. */
  shrink(pages: number): number {
    const first = this.list.find(({ shrinker }) => shrinker.count() > 0);
    if (!first) return 0;
    this.list = [...this.list.filter((other) => other !== first), first];
    return first.shrinker.scan(pages);
  }

  /** Whose turn it is; the members themselves register anew. */
  save(): readonly number[] {
    return this.list.map(({ id }) => id);
  }
  restore(order: readonly number[]): void {
    this.list.sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
  }
}
