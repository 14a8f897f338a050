import type { Insn } from "./insn";
import { JUMP_CACHE, JUMP_CACHE_ENTRIES } from "./layout";
import type { RecordWriter } from "./lower";
import { MODE_BITS, type Mode } from "./mode";
import { RECORD_BYTES } from "./record";

/** Decoded instructions that run one after another, and their records. */
export interface Block {
  readonly ip: bigint;
  /** Bits 63:32 of `ip`. */
  readonly ipHigh: number;
  readonly insns: readonly Insn[];
  /** Address of the header record; instruction n is at `header + 32 * (n + 1)`. */
  readonly header: number;
  /** Page of the first byte. */
  readonly page: CodePage;
  /** Linear address of the first byte. */
  readonly linear: bigint;
  /** Its last instruction reaches into the next page: never linked. */
  readonly crosses: boolean;
  /** Frame of the page it reaches into, or -1. */
  readonly secondFrame: number;
}

/** What is decoded of one 4 KiB frame. */
export class CodePage {
  /** By `blockKey`. Of two whose addresses differ in the upper half only, the later one is kept. */
  readonly blocks = new Map<number, Block>();
  /** 64-byte granules that hold decoded bytes. */
  private readonly granules = new Uint8Array(64);

  constructor(readonly offset: number) {}

  markCode(from: number, to: number): void {
    for (let n = from >> 6; n <= (to - 1) >> 6 && n < 64; n++) this.granules[n] = 1;
  }
  /** Does [from, to) of the page touch decoded bytes? */
  holdsCode(from: number, to: number): boolean {
    for (let n = from >> 6; n <= (to - 1) >> 6 && n < 64; n++) if (this.granules[n]) return true;
    return false;
  }
}

/** Instruction pointer's low half, mode and length: 45 bits. */
const blockKey = (ipLow: number, mode: Mode, single: boolean): number =>
  (ipLow * (1 << MODE_BITS) + mode.id) * 2 + (single ? 1 : 0);

/** Longest block. */
export const MAX_BLOCK = 32;

/**
 * All decoded code, by the frame its bytes are in. Links go only from block to block of one page under one
 * linear address; everything else goes through the jump cache, whose entries carry a generation. So code
 * of a page is dropped by forgetting its blocks and starting a new generation.
 */
export class BlockCache {
  private readonly pages = new Map<number, CodePage>();
  private readonly byRecord: (Block | undefined)[];
  private next: number;
  /** Counts every change after which an address of a block may no longer be used. */
  generation = 0;

  constructor(
    private readonly base: number,
    private readonly bytes: number,
    private readonly writer: RecordWriter,
    /** Told when a frame gets its first code. */
    private readonly onFirstCode: (offset: number) => void,
  ) {
    this.byRecord = new Array(Math.floor(bytes / RECORD_BYTES)).fill(undefined);
    this.next = base;
  }

  pageAt(offset: number): CodePage | undefined {
    return this.pages.get(offset);
  }

  /** The block decoded from this frame for this instruction pointer, given as its halves. */
  find(
    offset: number,
    ipLow: number,
    ipHigh: number,
    mode: Mode,
    single: boolean,
  ): Block | undefined {
    const block = this.pages.get(offset)?.blocks.get(blockKey(ipLow, mode, single));
    return block?.ipHigh === ipHigh ? block : undefined;
  }

  /** Block of a header or instruction record. */
  blockOf(record: number): Block {
    const block = this.byRecord[(record - this.base) / RECORD_BYTES];
    if (!block) throw new Error(`no block at record 0x${record.toString(16)}`);
    return block;
  }
  /** Place of an instruction record in its block; -1 for the header. */
  indexOf(block: Block, record: number): number {
    return (record - block.header) / RECORD_BYTES - 1;
  }

  /** Frees everything when the arena cannot take another block of the longest kind. */
  makeRoom(): void {
    if (this.next + (MAX_BLOCK + 2) * RECORD_BYTES > this.base + this.bytes) this.dropAll();
  }

  /** Writes a block down. `linear` of its first byte; `secondFrame` when it reaches into another page. */
  add(
    insns: readonly Insn[],
    mode: Mode,
    linear: bigint,
    offset: number,
    secondFrame: number,
    single: boolean,
    needsChain: boolean,
  ): Block {
    const header = this.next;
    const first = insns[0]!;
    const page = this.pageFor(offset);
    const crosses = secondFrame >= 0;
    const ipHigh = Number(first.ip >> 32n);
    const block = { ip: first.ip, ipHigh, insns, header, page, linear, crosses, secondFrame };
    this.writer.header(header, insns.length);
    for (const [n, insn] of insns.entries())
      this.writer.insn(header + (n + 1) * RECORD_BYTES, insn, n, mode.flat);
    const records = insns.length + 1 + (needsChain ? 1 : 0);
    if (needsChain) this.writer.chain(header + (records - 1) * RECORD_BYTES, insns.at(-1)!.nextIp);
    for (let n = 0; n < records; n++)
      this.byRecord[(header - this.base) / RECORD_BYTES + n] = block;
    this.next += records * RECORD_BYTES;

    const key = blockKey(Number(first.ip & 0xffff_ffffn), mode, single);
    page.blocks.set(key, block);
    const from = Number(linear & 0xfffn);
    const length = insns.reduce((sum, insn) => sum + insn.length, 0);
    page.markCode(from, Math.min(from + length, 4096));
    if (crosses) this.pageFor(secondFrame).markCode(0, from + length - 4096);
    return block;
  }

  private pageFor(offset: number): CodePage {
    const known = this.pages.get(offset);
    if (known) return known;
    const page = new CodePage(offset);
    this.pages.set(offset, page);
    this.onFirstCode(offset);
    return page;
  }

  holdsCode(offset: number): boolean {
    return this.pages.has(offset);
  }

  /** Forgets the code in [offset, offset + length). True if there was any. */
  written(offset: number, length: number): boolean {
    let any = false;
    const end = offset + length;
    for (let frame = offset - (offset % 4096); frame < end; frame += 4096) {
      const page = this.pages.get(frame);
      if (page?.holdsCode(Math.max(offset - frame, 0), Math.min(end - frame, 4096))) {
        this.dropPage(page);
        any = true;
      }
    }
    return any;
  }

  private dropPage(page: CodePage): void {
    this.pages.delete(page.offset);
    // A block that reaches into this page from the one before lives there.
    for (const other of this.pages.values())
      for (const [key, block] of other.blocks) if (block.crosses) other.blocks.delete(key);
    this.generation++;
  }

  dropAll(): void {
    this.pages.clear();
    this.byRecord.fill(undefined);
    this.next = this.base;
    this.generation++;
  }

  /** Forgets blocks that hold an instruction at one of these linear addresses. */
  dropAt(linear: ReadonlySet<bigint>): void {
    if (linear.size === 0) return;
    const touched = [...this.pages.values()].filter((page) =>
      [...page.blocks.values()].some((block) => this.touches(block, linear)),
    );
    for (const page of touched) this.dropPage(page);
  }
  private touches({ linear: start, ip, insns }: Block, linear: ReadonlySet<bigint>): boolean {
    return insns.some((insn) => linear.has(start + insn.ip - ip));
  }
}

/** The jump cache as TypeScript reads and fills it. */
export class JumpCache {
  private readonly words: Uint32Array;

  constructor(memory: WebAssembly.Memory) {
    this.words = new Uint32Array(memory.buffer, JUMP_CACHE, JUMP_CACHE_ENTRIES * 4);
    this.clear();
  }

  /** Must agree with `jumpCacheEntry` of the generated code. */
  private at(low: number): number {
    return ((low ^ (low >>> 12)) & (JUMP_CACHE_ENTRIES - 1)) * 4;
  }

  get(low: number, high: number, key: number): number {
    const at = this.at(low);
    const { words } = this;
    const hit = words[at] === low && words[at + 1] === high && words[at + 2] === key;
    return hit ? words[at + 3]! : 0;
  }
  set(low: number, high: number, key: number, header: number): void {
    const at = this.at(low);
    const { words } = this;
    words[at] = low;
    words[at + 1] = high;
    words[at + 2] = key;
    words[at + 3] = header;
  }
  clear(): void {
    this.words.fill(0);
  }
}
