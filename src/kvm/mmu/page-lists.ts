import type { Gfn } from "../../x86";
import type { RoleWord } from "./role";
import type { ShadowPage } from "./shadow-page";

/** 2^32 / golden ratio, odd: the usual multiplier of a multiplicative hash. */
const MULTIPLIER = 0x9e3779b1;

/** `mmu_page_hash`: every page that is not zapped, by gfn. Newest first in its bucket. */
export class PageHash {
  private readonly buckets: (ShadowPage[] | undefined)[];

  /** 4096 buckets over which gfns are scattered, or 1024 by their low bits as in older kernels. */
  constructor(private readonly size: 1024 | 4096) {
    this.buckets = new Array(size).fill(undefined);
  }

  private slot(frame: Gfn): number {
    if (this.size === 1024) return frame % 1024;
    return Math.imul((frame % 2 ** 32) ^ Math.floor(frame / 2 ** 32), MULTIPLIER) >>> 20;
  }

  /** The pages whose gfn hashes like this one, newest first: the caller compares gfns. */
  bucket(frame: Gfn): readonly ShadowPage[] {
    return this.buckets[this.slot(frame)] ?? NO_PAGES;
  }

  insert(page: ShadowPage): void {
    const at = this.slot(page.gfn);
    const bucket = this.buckets[at];
    if (bucket) bucket.unshift(page);
    else this.buckets[at] = [page];
  }

  remove(page: ShadowPage): void {
    const bucket = this.buckets[this.slot(page.gfn)];
    const at = bucket?.indexOf(page) ?? -1;
    if (!bucket || at < 0) throw new Error(`page hash: no page ${page.serial} for gfn ${page.gfn}`);
    bucket.splice(at, 1);
  }

  /** Every page whose gfn and role are these; more than one breaks INV-P-04. */
  matching(frame: Gfn, role: RoleWord): readonly ShadowPage[] {
    return this.bucket(frame).filter((page) => page.gfn === frame && page.role === role);
  }

  clear(): void {
    this.buckets.fill(undefined);
  }
}

const NO_PAGES: readonly ShadowPage[] = [];

/** `active_mmu_pages`: new pages at the head, victims taken from the tail. */
export class ActiveList {
  head: ShadowPage | undefined;
  tail: ShadowPage | undefined;

  add(page: ShadowPage): void {
    page.older = this.head;
    page.newer = undefined;
    if (this.head) this.head.newer = page;
    else this.tail = page;
    this.head = page;
  }

  remove(page: ShadowPage): void {
    if (page.newer) page.newer.older = page.older;
    else this.head = page.older;
    if (page.older) page.older.newer = page.newer;
    else this.tail = page.newer;
    page.newer = undefined;
    page.older = undefined;
  }

  /** Head to tail. The list may not change while it is walked. */
  *[Symbol.iterator](): IterableIterator<ShadowPage> {
    for (let page = this.head; page; page = page.older) yield page;
  }

  clear(): void {
    this.head = undefined;
    this.tail = undefined;
  }
}
