import assert from "node:assert/strict";
import { gfn } from "../../../src/x86";
import type { Guest } from "../guest";

/** Set bits of a dirty bitmap. */
export function setBits(bitmap: Uint32Array): number[] {
  const bits: number[] = [];
  for (const [i, word] of bitmap.entries())
    for (let rest = word; rest !== 0; rest &= rest - 1)
      bits.push(32 * i + 31 - Math.clz32(rest & -rest));
  return bits;
}

/** KVM_GET_DIRTY_LOG of slot 0: indices of the dirty pages. */
export function dirtyPages(g: Guest, slot = 0): number[] {
  const bitmap = g.vm.getDirtyLog(slot);
  assert.ok(bitmap instanceof Uint32Array);
  return setBits(bitmap);
}

/**
 * The other end of a migration: a copy of slot 0's pages, refreshed where the log says so. INV-D-01 holds
 * as long as, with the guest stopped and the log empty, the copy is the same.
 */
export class Copy {
  readonly pages: Uint8Array[];

  constructor(private readonly g: Guest) {
    this.pages = Array.from({ length: this.slot.npages }, (_, i) => this.page(i).slice());
  }

  take(pages: readonly number[] = dirtyPages(this.g)): number[] {
    for (const i of pages) this.pages[i]!.set(this.page(i));
    return [...pages];
  }

  /** Pages that differ from the guest's. */
  different(): number[] {
    return this.pages.flatMap((bytes, i) => (Buffer.compare(bytes, this.page(i)) === 0 ? [] : [i]));
  }

  private get slot() {
    return this.g.vm.slots[0]!;
  }
  private page(i: number): Uint8Array {
    const { slot, g } = this;
    return g.process.contents(slot.hvaOf(gfn(slot.baseGfn + i)))!;
  }
}
