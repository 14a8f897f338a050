import type { Hva } from "../x86";

/** A half-open range of host virtual addresses, page-aligned. */
export interface HvaRange {
  readonly start: Hva;
  readonly end: Hva;
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
  /** The process ends. */
  release(): void;
}

/** The registered notifiers of a process, called in the order of registration. */
export class Notifiers {
  private readonly list: MmuNotifier[] = [];

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
    const told = [...this.list];
    for (const notifier of told) notifier.invalidateStart(range);
    const result = change();
    for (const notifier of told) notifier.invalidateEnd(range);
    return result;
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
}
