import type { Hva } from "../x86";
import { Mapping, type MappingState } from "./mapping";

/** The mappings of a process, by rising address; they do not overlap. */
export class MappingList {
  private list: Mapping[] = [];
  /** The one found last: most lookups hit the same. */
  private last: Mapping | undefined;

  get all(): readonly Mapping[] {
    return this.list;
  }

  at(address: Hva): Mapping | undefined {
    if (this.last?.has(address)) return this.last;
    const found = this.list[this.firstEndingAfter(address)];
    if (!found || found.start > address) return undefined;
    this.last = found;
    return found;
  }

  /** The lowest mapping with a page in the range. */
  firstIn(start: Hva, end: Hva): Mapping | undefined {
    const found = this.list[this.firstEndingAfter(start)];
    return found && found.start < end ? found : undefined;
  }

  insert(mapping: Mapping): void {
    this.list.splice(this.firstEndingAfter(mapping.start), 0, mapping);
  }

  /** Puts others in the place of one. */
  replace(old: Mapping, parts: readonly Mapping[]): void {
    this.list.splice(this.list.indexOf(old), 1, ...parts);
    this.last = undefined;
  }

  restore(states: readonly MappingState[]): void {
    this.list = states.map(Mapping.restored);
    this.last = undefined;
  }

  private firstEndingAfter(address: Hva): number {
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.list[middle]!.end <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
