import { ALLOW, type Refill } from "./board";
import {
  ITLB,
  ITLB_ENTRIES,
  S,
  TLB_BANKS,
  TLB_BYTES,
  TLB_ENTRIES,
  TLB_FIELD,
  TLB_NONE,
} from "./layout";

/** One cached translation, as the debugger lists it. */
export interface TlbView {
  /** 0 user, 1 supervisor, 2 supervisor with EFLAGS.AC. */
  bank: number;
  va: bigint;
  /** Of the 4 KiB frame in the wasm memory. */
  offset: number;
  allow: number;
  level: number;
  global: boolean;
}

/** Low word of a tag: page address | these. `NONE` matches no access and no withheld test. */
const TAG = { withheld: 1, none: 2 } as const;
/** Instruction entries of the user bank. */
const USER = 1;

const INFO = { allow: 7, level: 3, global: 1 << 6, valid: 1 << 7 } as const;
const ENTRY_WORDS = TLB_BYTES / 4;
const DATA_ENTRIES = TLB_BANKS * TLB_ENTRIES;
const ALL_WORDS = (DATA_ENTRIES + ITLB_ENTRIES) * ENTRY_WORDS;
const PAGE_MASK = 0xffff_f000;

/** Words of an entry. */
const READ = TLB_FIELD.read / 4;
const WRITE = TLB_FIELD.write / 4;
const EXEC = TLB_FIELD.exec / 4;
const DELTA = TLB_FIELD.delta / 4;
const INFO_WORD = TLB_FIELD.info / 4;

/**
 * The translation caches of one vCPU, wherever its struct is. A tag is the page's address; bit 0 set
 * means the translation is kept but withheld from generated code, so that the next access asks. Nothing
 * here changes because a table in memory changed: only flushes and evictions remove entries, as on
 * silicon.
 */
export class Tlb {
  private readonly words: Uint32Array;
  /** Entries of large pages may be present: INVLPG then looks at every entry. */
  private large = true;
  /** Entries that may be valid, so that a flush need not look at all: places from `first`, each once. */
  private readonly used = new Uint32Array(DATA_ENTRIES + ITLB_ENTRIES);
  private usedCount = 0;
  private readonly isUsed = new Uint8Array(DATA_ENTRIES + ITLB_ENTRIES);

  constructor(
    memory: WebAssembly.Memory,
    private readonly base: () => number,
  ) {
    this.words = new Uint32Array(memory.buffer);
  }

  private entry(bank: number, low: number): number {
    const at = this.base() + S.tlb + bank * TLB_ENTRIES * TLB_BYTES;
    return (at >>> 2) + ((low >>> 12) & (TLB_ENTRIES - 1)) * ENTRY_WORDS;
  }
  /** Each privilege has its half first: a page that both run from keeps both its entries. */
  private codeEntry(user: boolean, low: number): number {
    const n = ((low >>> 12) ^ (user ? ITLB_ENTRIES / 2 : 0)) & (ITLB_ENTRIES - 1);
    return ((this.base() + ITLB) >>> 2) + n * ENTRY_WORDS;
  }

  /** Frame offset of a data page, or -1. A withheld translation counts. */
  lookup(bank: number, low: number, high: number, write: boolean): number {
    const at = this.entry(bank, low) + (write ? WRITE : READ);
    const page = (low & PAGE_MASK) >>> 0;
    const tag = this.words[at]!;
    if ((tag & ~TAG.withheld) >>> 0 !== page || this.words[at + 1] !== high) return -1;
    return this.frameAt(this.entry(bank, low), page);
  }
  private frameAt(entry: number, page: number): number {
    return (this.words[entry + DELTA]! + page) >>> 0;
  }

  /** Lets generated code use a write translation again, or withholds it. */
  setWithheld(bank: number, low: number, withheld: boolean): void {
    const at = this.entry(bank, low) + WRITE;
    const page = (low & PAGE_MASK) >>> 0;
    this.words[at] = page | (withheld ? TAG.withheld : 0);
  }

  insert(bank: number, low: number, high: number, refill: Refill, withholdWrite: boolean): void {
    const page = (low & PAGE_MASK) >>> 0;
    const at = this.entry(bank, low);
    const { words } = this;
    const tag = (word: number, allowed: number, withheld: boolean): void => {
      words[at + word] = allowed ? page | (withheld ? TAG.withheld : 0) : TAG.none;
      words[at + word + 1] = allowed ? high : 0;
    };
    tag(READ, refill.allow & ALLOW.read, false);
    tag(WRITE, refill.allow & ALLOW.write, withholdWrite);
    tag(EXEC, 0, false);
    words[at + DELTA] = (refill.offset - page) >>> 0;
    words[at + INFO_WORD] = infoOf(refill);
    this.note(at);
    if (refill.level > 1) this.large = true;
  }

  /** Frame offset of a code page, or -1. */
  lookupCode(user: boolean, low: number, high: number): number {
    const at = this.codeEntry(user, low);
    const page = (low & PAGE_MASK) >>> 0;
    const tag = (page | (user ? USER : 0)) >>> 0;
    if (this.words[at + EXEC] !== tag || this.words[at + EXEC + 1] !== high) return -1;
    return this.frameAt(at, page);
  }

  /** True when another translation had to go: jumps that relied on it must be looked up again. */
  insertCode(user: boolean, low: number, high: number, refill: Refill): boolean {
    const at = this.codeEntry(user, low);
    const page = (low & PAGE_MASK) >>> 0;
    const { words } = this;
    const evicted = (words[at + INFO_WORD]! & INFO.valid) !== 0;
    words[at + READ] = TAG.none;
    words[at + WRITE] = TAG.none;
    words[at + EXEC] = page | (user ? USER : 0);
    words[at + EXEC + 1] = high;
    words[at + DELTA] = (refill.offset - page) >>> 0;
    words[at + INFO_WORD] = infoOf(refill);
    this.note(at);
    if (refill.level > 1) this.large = true;
    return evicted;
  }

  private drop(at: number): void {
    const { words } = this;
    words[at + READ] = TAG.none;
    words[at + READ + 1] = 0;
    words[at + WRITE] = TAG.none;
    words[at + WRITE + 1] = 0;
    words[at + EXEC] = TAG.none;
    words[at + EXEC + 1] = 0;
    words[at + DELTA] = 0;
    words[at + INFO_WORD] = 0;
  }

  private get first(): number {
    return (this.base() + S.tlb) >>> 2;
  }

  private note(at: number): void {
    const n = (at - this.first) / ENTRY_WORDS;
    if (this.isUsed[n]) return;
    this.isUsed[n] = 1;
    this.used[this.usedCount++] = n;
  }

  /** True when a translation for fetch went: jumps that relied on it must be looked up again. */
  flush(keepGlobal: boolean): boolean {
    const { words, first, used, isUsed } = this;
    let kept = 0;
    let code = false;
    for (let n = 0; n < this.usedCount; n++) {
      const place = used[n]!;
      const at = first + place * ENTRY_WORDS;
      const info = words[at + INFO_WORD]!;
      if (keepGlobal && info & INFO.global) used[kept++] = place;
      else {
        isUsed[place] = 0;
        if (info === 0) continue;
        this.drop(at);
        if (place >= DATA_ENTRIES) code = true;
      }
    }
    this.usedCount = kept;
    if (!keepGlobal) this.large = false;
    return code;
  }

  /** After the struct was replaced as a whole: finds out again which entries are valid. */
  reread(): void {
    const { words, first } = this;
    this.isUsed.fill(0);
    this.usedCount = 0;
    this.large = true;
    for (let at = first; at < first + ALL_WORDS; at += ENTRY_WORDS)
      if (words[at + INFO_WORD] !== 0) this.note(at);
  }

  /** Marks every entry empty, whatever the memory held before. */
  clear(): void {
    const { first } = this;
    for (let at = first; at < first + ALL_WORDS; at += ENTRY_WORDS) this.drop(at);
    this.reread();
    this.large = false;
  }

  /**
   * INVLPG: the page of `va` in all banks, and every fragment of a large page that holds it.
   * `largeBits`: 21 or 22. True as for `flush`.
   */
  flushPage(va: bigint, largeBits: number): boolean {
    const low = Number(va & 0xffff_ffffn);
    const high = Number((va >> 32n) & 0xffff_ffffn);
    for (let bank = 0; bank < TLB_BANKS; bank++) this.dropIf(this.entry(bank, low), low, high, 12);
    let code = this.dropIf(this.codeEntry(false, low), low, high, 12);
    if (this.dropIf(this.codeEntry(true, low), low, high, 12)) code = true;
    return this.large && this.flushLarge(low, high, largeBits) ? true : code;
  }
  private flushLarge(low: number, high: number, largeBits: number): boolean {
    const { words, first, used } = this;
    let code = false;
    let any = false;
    for (let n = 0; n < this.usedCount; n++) {
      const at = first + used[n]! * ENTRY_WORDS;
      const level = (words[at + INFO_WORD]! >> INFO.level) & 7;
      if (level < 2) continue;
      any = true;
      if (this.dropIf(at, low, high, level === 2 ? largeBits : 30) && used[n]! >= DATA_ENTRIES)
        code = true;
    }
    this.large = any;
    return code;
  }
  /** Drops a valid entry whose page lies in the same naturally aligned block of `2^bits` bytes. */
  private dropIf(at: number, low: number, high: number, bits: number): boolean {
    const { words } = this;
    if (!(words[at + INFO_WORD]! & INFO.valid)) return false;
    let tag = READ;
    while ((words[at + tag]! & 0xfff) === TAG.none) {
      if (tag === EXEC) return false;
      tag += WRITE - READ;
    }
    // No page is larger than 1 GiB, so the upper halves must agree.
    if (words[at + tag]! >>> bits !== low >>> bits || words[at + tag + 1] !== high) return false;
    this.drop(at);
    return true;
  }

  /** Page number of a valid entry, from whichever tag it has. */
  private pageOf(at: number): bigint {
    const { words } = this;
    for (const tag of [READ, WRITE, EXEC]) {
      const low = words[at + tag]!;
      if ((low & 0xfff) === TAG.none) continue;
      return (BigInt(words[at + tag + 1]!) << 20n) | BigInt(low >>> 12);
    }
    return -1n;
  }

  /** Withholds write translations to a frame, in every bank: it holds decoded code now. */
  withholdFrame(offset: number): void {
    const { words, first } = this;
    for (let at = first; at < first + DATA_ENTRIES * ENTRY_WORDS; at += ENTRY_WORDS) {
      const tag = words[at + WRITE]!;
      if ((tag & 0xfff) !== 0) continue;
      if ((words[at + DELTA]! + tag) >>> 0 === offset) words[at + WRITE] = tag | TAG.withheld;
    }
  }

  /** Nothing is withheld any more: the frames' decoded code is gone, or this is a copy to keep. */
  static releaseAll(words: Uint32Array, first: number): void {
    for (let at = first; at < first + DATA_ENTRIES * ENTRY_WORDS; at += ENTRY_WORDS)
      if ((words[at + WRITE]! & 0xfff) === TAG.withheld) words[at + WRITE]! &= PAGE_MASK;
  }

  list(): TlbView[] {
    const { words, first } = this;
    const views: TlbView[] = [];
    for (let at = first; at < first + ALL_WORDS; at += ENTRY_WORDS) {
      const info = words[at + INFO_WORD]!;
      if (!(info & INFO.valid)) continue;
      const n = (at - first) / ENTRY_WORDS;
      const isCode = n >= DATA_ENTRIES;
      const va = this.pageOf(at) << 12n;
      views.push({
        bank: isCode ? (words[at + EXEC]! & USER ? 0 : 1) : Math.floor(n / TLB_ENTRIES),
        va,
        offset: this.frameAt(at, Number(va & 0xffff_f000n)),
        allow: isCode ? ALLOW.exec : info & INFO.allow & ~ALLOW.exec,
        level: (info >> INFO.level) & 7,
        global: (info & INFO.global) !== 0,
      });
    }
    return views;
  }
}

const infoOf = ({ allow, level, global }: Refill): number =>
  (allow & INFO.allow) | (level << INFO.level) | (global ? INFO.global : 0) | INFO.valid;

/** Fills the bank that never matches. */
export function clearNoneBank(memory: WebAssembly.Memory): void {
  const words = new Uint32Array(memory.buffer, S.tlb + TLB_NONE, TLB_ENTRIES * ENTRY_WORDS);
  for (let at = 0; at < words.length; at += 2) words[at] = TAG.none;
}
