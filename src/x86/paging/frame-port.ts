import type {
  Entry,
  ExchangeOutcome,
  FrameOf,
  PassivePort,
  Physical,
  TablePort,
} from "./table-port";

/** The machine's one WebAssembly memory. It may not grow: views of it are kept. */
export interface ByteMemory {
  readonly buffer: ArrayBufferLike;
}

/** Where the frames of a physical address space lie in the machine's WebAssembly memory. */
export interface FrameMap<A extends Physical> {
  /** Byte offset of the 4 KiB frame; -1 when there is no memory. */
  offsetOf(frame: FrameOf<A>): number;
}

/** Tables read and written in place, as hardware does. */
export class FramePort<A extends Physical> implements TablePort<A> {
  private readonly words: Uint32Array;

  constructor(
    memory: ByteMemory,
    private readonly frames: FrameMap<A>,
  ) {
    this.words = new Uint32Array(memory.buffer);
  }

  load(at: A, bytes: 4 | 8, entry: Entry): boolean {
    const word = this.wordOf(at);
    if (word < 0) return false;
    entry.lo = this.words[word] ?? 0;
    entry.hi = bytes === 8 ? (this.words[word + 1] ?? 0) : 0;
    return true;
  }

  exchange(at: A, bytes: 4 | 8, expected: Entry, desired: Entry): ExchangeOutcome {
    const { words } = this;
    const word = this.wordOf(at);
    if (word < 0 || words[word] !== expected.lo) return "changed";
    if (bytes === 8 && words[word + 1] !== expected.hi) return "changed";
    words[word] = desired.lo;
    if (bytes === 8) words[word + 1] = desired.hi;
    return "done";
  }

  /** Stores an aligned 8-byte entry; false when there is no memory. */
  store64(at: A, lo: number, hi: number): boolean {
    const word = this.wordOf(at);
    if (word < 0) return false;
    this.words[word] = lo;
    this.words[word + 1] = hi;
    return true;
  }

  /** The aligned 8 bytes as one value, for text borders; undefined when there is no memory. */
  read64(at: A): bigint | undefined {
    const word = this.wordOf(at);
    if (word < 0) return undefined;
    return (BigInt(this.words[word + 1] ?? 0) << 32n) | BigInt(this.words[word] ?? 0);
  }

  private wordOf(at: A): number {
    const offset = this.frames.offsetOf(Math.floor(at / 4096) as FrameOf<A>);
    return offset < 0 ? -1 : (offset + (at & 0xfff)) >>> 2;
  }
}

/** The same memory for a debugger: it can be looked at, and nothing more. */
export const passive = <A extends Physical>(port: TablePort<A>): PassivePort<A> => ({
  load: (at, bytes, entry) => port.load(at, bytes, entry),
});
