import {
  CR0,
  CR4,
  EFER,
  type Entry,
  type ExchangeOutcome,
  type Gpa,
  gpa,
  type PagingControls,
  type PagingFeatures,
  type TablePort,
} from "../../../src/x86";

/** A processor with everything, 46 physical bits. */
export const features: PagingFeatures = {
  physicalBits: 46,
  gigabytePages: true,
  pse36: true,
  amd: false,
};

export const longMode: PagingControls = {
  cr0: CR0.PE | CR0.PG | CR0.WP,
  cr4: CR4.PAE | CR4.PGE,
  efer: EFER.LME | EFER.LMA | EFER.NX,
};

/** Guest-physical memory of a test: pages appear where it writes, everything else is a hole. */
export class Tables implements TablePort<Gpa> {
  private readonly pages = new Map<number, Uint32Array>();
  /** Addresses whose next exchange finds another value, with what is stored there first. */
  readonly interference = new Map<number, bigint>();
  readonly readOnlyPages = new Set<number>();
  reads = 0;

  /** Adds an all-zero page. */
  page(at: number): this {
    this.pages.set(Math.floor(at / 4096), new Uint32Array(1024));
    return this;
  }

  set(at: number, value: bigint, bytes: 4 | 8 = 8): this {
    if (!this.pages.has(Math.floor(at / 4096))) this.page(at);
    const words = this.words(at);
    const index = (at % 4096) >>> 2;
    words[index] = Number(value & 0xffffffffn);
    if (bytes === 8) words[index + 1] = Number(value >> 32n);
    return this;
  }

  get(at: number, bytes: 4 | 8 = 8): bigint {
    const words = this.words(at);
    const index = (at % 4096) >>> 2;
    const hi = bytes === 8 ? (words[index + 1] ?? 0) : 0;
    return (BigInt(hi) << 32n) | BigInt(words[index] ?? 0);
  }

  /** Undefined where there is no page. */
  peek(at: number, bytes: 4 | 8 = 8): bigint | undefined {
    return this.pages.has(Math.floor(at / 4096)) ? this.get(at, bytes) : undefined;
  }

  load(at: Gpa, bytes: 4 | 8, entry: Entry): boolean {
    this.reads++;
    if (!this.pages.has(Math.floor(at / 4096))) return false;
    const value = this.get(at, bytes);
    entry.lo = Number(value & 0xffffffffn);
    entry.hi = Number(value >> 32n);
    return true;
  }

  exchange(at: Gpa, bytes: 4 | 8, expected: Entry, desired: Entry): ExchangeOutcome {
    const surprise = this.interference.get(at);
    if (surprise !== undefined) {
      this.interference.delete(at);
      this.set(at, surprise, bytes);
    }
    if (this.readOnlyPages.has(Math.floor(at / 4096))) return "read-only";
    if (this.get(at, bytes) !== value(expected)) return "changed";
    this.set(at, value(desired), bytes);
    return "done";
  }

  /** Every word that is not zero, for comparing two memories. */
  contents(): [number, number][] {
    return [...this.pages]
      .sort(([a], [b]) => a - b)
      .flatMap(([page, words]) => {
        const found: [number, number][] = [];
        for (let i = 0; i < words.length; i++)
          if (words[i] !== 0) found.push([page * 4096 + 4 * i, words[i] ?? 0]);
        return found;
      });
  }

  copy(): Tables {
    const copy = new Tables();
    for (const [page, words] of this.pages) copy.pages.set(page, words.slice());
    return copy;
  }

  private words(at: number): Uint32Array {
    const words = this.pages.get(Math.floor(at / 4096));
    if (!words) throw new Error(`no page at ${at.toString(16)}`);
    return words;
  }
}

const value = (entry: Entry): bigint => (BigInt(entry.hi) << 32n) | BigInt(entry.lo);

/** The set-up of golden trace G1: 0x5000 maps to 0x9000, tables at 0x1000 … 0x4000. */
export const g1 = (): Tables =>
  new Tables().set(0x1000, 0x2007n).set(0x2000, 0x3007n).set(0x3000, 0x4007n).set(0x4028, 0x9007n);

export const g1Root = gpa(0x1000);
