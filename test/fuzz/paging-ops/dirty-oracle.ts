import assert from "node:assert/strict";
import type { PlainMemory, PlainSlot } from "./plain-memory";
import type { Subject } from "./subject";

const PAGE = 4096;
/** Pages compared at once: most have not changed. */
const CHUNK = 32;

interface Log {
  readonly slot: PlainSlot;
  /** What its memory held when its bits were last taken. */
  readonly taken: Buffer;
}

/**
 * What a dirty log must hold, from the pages themselves: a page that differs from what it held when
 * its bit was last taken has its bit set.
 */
export class DirtyOracle {
  private readonly logs = new Map<number, Log>();

  constructor(
    private readonly subject: Subject,
    private readonly memory: PlainMemory,
  ) {}

  start(slot: PlainSlot): void {
    const taken = this.logs.get(slot.id)?.taken ?? Buffer.from(this.present(slot));
    this.logs.set(slot.id, { slot, taken });
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
    for (const page of this.changedPages(log))
      assert.ok(
        (bitmap[page >> 5]! >>> (page & 31)) & 1,
        `gfn 0x${(log.slot.base + page).toString(16)} was written and is not in the dirty log`,
      );
  }

  /** Pages that differ from what was taken, which is brought up to date. */
  private changedPages({ slot, taken }: Log): number[] {
    const present = this.present(slot);
    const differs = (page: number, pages: number): boolean => {
      const from = page * PAGE;
      const to = Math.min(from + pages * PAGE, present.length);
      return present.compare(taken, from, to, from, to) !== 0;
    };
    const changed: number[] = [];
    for (let chunk = 0; chunk < slot.pages; chunk += CHUNK) {
      if (!differs(chunk, CHUNK)) continue;
      for (let page = chunk; page < Math.min(chunk + CHUNK, slot.pages); page++)
        if (differs(page, 1)) changed.push(page);
    }
    for (const page of changed) present.copy(taken, page * PAGE, page * PAGE, (page + 1) * PAGE);
    return changed;
  }

  private present({ backing, pages }: PlainSlot): Buffer {
    const { buffer } = this.memory.bytes;
    return Buffer.from(buffer as ArrayBuffer, backing * PAGE, pages * PAGE);
  }
}
