import { type Hva, hva, PAGE_SIZE, type Pfn } from "../x86";

/** A half-open range of host virtual addresses, page-aligned. */
export interface HvaRange {
  readonly start: Hva;
  readonly end: Hva;
}

/** An entry that a host page gets. */
export interface PteChange {
  readonly address: Hva;
  readonly frame: Pfn;
  readonly writable: boolean;
}

/** What the host asks of those who keep copies of its page tables (Linux mmu_notifier_ops). */
export interface MmuNotifier {
  /** Before the mappings of the range change: drop every copy, and make none until the end. */
  invalidateStart(range: HvaRange): void;
  invalidateEnd(range: HvaRange): void;
  /** Was the range used since the last such call? Forgets it, and flushes so that use shows again. */
  clearFlushYoung(range: HvaRange): boolean;
  /** As before, without the flush. */
  clearYoung(range: HvaRange): boolean;
  testYoung(range: HvaRange): boolean;
  /**
   * Kernels before 6.10: one page is in another frame now, or has lost write access. Whoever has this
   * is told so in place of start and end (set_pte_at_notify).
   */
  readonly changePte?: ((address: Hva, frame: Pfn, writable: boolean) => void) | undefined;
  /** The process ends. */
  release(): void;
}

/** The registered notifiers of a process, called in the order of registration. */
export class Notifiers {
  private readonly list: MmuNotifier[] = [];
  /** Changes between start and end. */
  private underWay = 0;

  /** Pages are being changed: they are isolated, and reclaim leaves them to whoever has them. */
  get changing(): boolean {
    return this.underWay > 0;
  }

  /** Returns the way to unregister. */
  register(notifier: MmuNotifier): () => void {
    this.list.push(notifier);
    return () => {
      const at = this.list.indexOf(notifier);
      if (at >= 0) this.list.splice(at, 1);
    };
  }

  /** Runs `change` between start and end: the only way the host changes a present mapping. */
  around<T>(range: HvaRange, change: () => T): T {
    return this.aroundAll([range], change);
  }
  /** The same for several ranges that change together. */
  aroundAll<T>(ranges: readonly HvaRange[], change: () => T): T {
    return this.invalidating([...this.list], ranges, change);
  }

  /**
   * One page gets a new entry: those who want to be told of that itself are, with no old frame freed
   * yet, the others as ever. False, and nothing changes, if it does not `stand` any more once nobody can
   * write to the page.
   */
  changingPte(
    { address, frame, writable }: PteChange,
    change: () => void,
    stands: () => boolean = () => true,
  ): boolean {
    const range = { start: address, end: hva(address + PAGE_SIZE) };
    const others = this.list.filter((notifier) => !notifier.changePte);
    const direct = this.list.filter((notifier) => notifier.changePte);
    return this.invalidating(others, [range], () => {
      if (!stands()) return false;
      for (const notifier of direct) notifier.changePte?.(address, frame, writable);
      change();
      return true;
    });
  }

  clearFlushYoung(range: HvaRange): boolean {
    return this.anyOf((notifier) => notifier.clearFlushYoung(range));
  }
  clearYoung(range: HvaRange): boolean {
    return this.anyOf((notifier) => notifier.clearYoung(range));
  }
  testYoung(range: HvaRange): boolean {
    return this.anyOf((notifier) => notifier.testYoung(range));
  }
  release(): void {
    for (const notifier of [...this.list]) notifier.release();
  }

  /** Asks every one, also after the first yes: asking clears. */
  private anyOf(ask: (notifier: MmuNotifier) => boolean): boolean {
    return this.list.map(ask).includes(true);
  }

  private invalidating<T>(
    told: readonly MmuNotifier[],
    ranges: readonly HvaRange[],
    change: () => T,
  ): T {
    this.underWay++;
    for (const range of ranges) for (const notifier of told) notifier.invalidateStart(range);
    const result = change();
    for (const range of ranges) for (const notifier of told) notifier.invalidateEnd(range);
    this.underWay--;
    return result;
  }
}
