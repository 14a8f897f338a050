import assert from "node:assert/strict";
import type { PlainMemory, PlainSlot } from "./plain-memory";
import type { Subject } from "./subject";

const PAGE = 4096;
/** Pages compared at once: most have not changed. */
const CHUNK = 32;

interface Log {
  readonly slot: PlainSlot;
  /** What its memory held when its pages were last copied. */
  readonly taken: Buffer;
}

/**
 * What a dirty log must hold, from the pages themselves: a page that differs from what it held when
 * its bit was last cleared has its bit set.
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
    const changed = this.changedPages(log);
    for (const page of changed)
      assert.ok(
        (bitmap[page >> 5]! >>> (page & 31)) & 1,
        `gfn 0x${(log.slot.base + page).toString(16)} was written and is not in the dirty log`,
      );
    if (!vm.core.state.dirtyLogMode.manual) this.copy(log, changed);
  }

  /** KVM_CLEAR_DIRTY_LOG of runs of 64 pages, after which they are copied. */
  clear(id: number, first: number, blocks: number): void {
    const log = this.logs.get(id);
    const { vm } = this.subject;
    if (!vm || !log) return;
    const bitmap = new Uint32Array(2 * blocks).fill(0xffffffff);
    const range = { slot: id, firstPage: 64 * first, numPages: 64 * blocks, bitmap };
    const refusal = vm.clearDirtyLog(range);
    // Older kernels have no such call.
    if (refusal?.errno === "ENOTTY") return;
    assert.equal(refusal, undefined);
    const inRange = (page: number): boolean => page >= 64 * first && page < 64 * (first + blocks);
    this.copy(log, this.changedPages(log).filter(inRange));
  }

  /** The caller copies these pages, as live migration does. */
  private copy({ slot, taken }: Log, pages: readonly number[]): void {
    const present = this.present(slot);
    for (const page of pages) present.copy(taken, page * PAGE, page * PAGE, (page + 1) * PAGE);
  }

  /** Pages that differ from what was copied last. */
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
    return changed;
  }

  private present({ backing, pages }: PlainSlot): Buffer {
    const { buffer } = this.memory.bytes;
    return Buffer.from(buffer as ArrayBuffer, backing * PAGE, pages * PAGE);
  }
}
