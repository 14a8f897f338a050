import assert from "node:assert/strict";
import type { PlainSlot } from "./plain-memory";
import type { Subject } from "./subject";

interface Log {
  readonly slot: PlainSlot;
  /** Contents of each page when its bit was last taken. */
  readonly taken: Uint8Array[];
}

/**
 * What a dirty log must hold, from the pages themselves: a page that differs from what it held when
 * its bit was last taken has its bit set.
 */
export class DirtyOracle {
  private readonly logs = new Map<number, Log>();

  constructor(private readonly subject: Subject) {}

  start(slot: PlainSlot): void {
    const known = this.logs.get(slot.id);
    if (known) this.logs.set(slot.id, { slot, taken: known.taken });
    else this.logs.set(slot.id, { slot, taken: this.pagesOf(slot) });
  }
  stop(id: number): void {
    this.logs.delete(id);
  }

  /** KVM_GET_DIRTY_LOG, checked. */
  take(id: number): void {
    const log = this.logs.get(id);
    const { vm } = this.subject;
    if (!vm) return;
    const bitmap = vm.getDirtyLog(id);
    if (!log) {
      assert.ok(!(bitmap instanceof Uint32Array), `slot ${id} does not log, but has a log`);
      return;
    }
    assert.ok(bitmap instanceof Uint32Array, `slot ${id} logs, but has no log`);
    this.compare(log, bitmap);
    this.logs.set(id, { slot: log.slot, taken: this.pagesOf(log.slot) });
  }

  private compare({ slot, taken }: Log, bitmap: Uint32Array): void {
    for (let i = 0; i < slot.pages; i++) {
      const marked = ((bitmap[i >> 5]! >>> (i & 31)) & 1) !== 0;
      if (marked || Buffer.compare(this.subject.contents(slot.backing + i), taken[i]!) === 0)
        continue;
      assert.fail(`gfn 0x${(slot.base + i).toString(16)} was written and is not in the dirty log`);
    }
  }
  private pagesOf({ backing, pages }: PlainSlot): Uint8Array[] {
    return Array.from({ length: pages }, (_, i) => this.subject.contents(backing + i).slice());
  }
}
