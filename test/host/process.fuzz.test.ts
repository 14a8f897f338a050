import assert from "node:assert/strict";
import fc from "fast-check";
import type { Backing, HostAction, HvaRange, MmuNotifier } from "../../src/host";
import { type Hva, hpaOf, type Pfn } from "../../src/x86";
import { ANONYMOUS, page, THP, workbench } from "./host";

const seed = Number(process.env.PENUMBRA_SEED ?? 20261121);
const runs = Number(process.env.PENUMBRA_RUNS ?? 400);

/** First pages of two mappings of one file, and the pages of each. */
const SHARED = 16;
const PRIVATE = 24;
const FILE_PAGES = 4;

type Bench = ReturnType<typeof workbench>;

/** What a page is to hold: its word, "fails" where a touch fails, undefined where nothing is mapped. */
type Word = number | "fails" | undefined;

/**
 * A copy of the page table as KVM's sptes are one: filled now and then, emptied by invalidations, or kept
 * up to date by change_pte. Writes go through it, so a stale entry loses them.
 */
class Copy implements MmuNotifier {
  private readonly entries = new Map<Hva, { pfn: Pfn; writable: boolean; dirty: boolean }>();
  readonly changePte?: MmuNotifier["changePte"];

  constructor(
    private readonly bench: Bench,
    wantsChanges: boolean,
  ) {
    if (wantsChanges)
      this.changePte = (address, pfn, writable) => {
        if (!this.entries.has(address)) return;
        if (writable) this.drop(address);
        else this.entries.set(address, { pfn, writable: false, dirty: false });
      };
    bench.process.notifiers.register(this);
  }
  private drop(address: Hva): void {
    const entry = this.entries.get(address);
    if (entry) this.bench.process.markUsed(entry.pfn, entry.dirty);
    this.entries.delete(address);
  }
  invalidateStart({ start, end }: HvaRange): void {
    for (const address of [...this.entries.keys()])
      if (address >= start && address < end) this.drop(address);
  }
  invalidateEnd(): void {}
  clearFlushYoung(): boolean {
    return false;
  }
  clearYoung(): boolean {
    return false;
  }
  testYoung(): boolean {
    return false;
  }
  release(): void {}

  fill(address: Hva): void {
    const { process } = this.bench;
    const pfn = process.translate(address);
    const writable = process.isWritable(address);
    if (pfn !== undefined) this.entries.set(address, { pfn, writable, dirty: false });
  }
  /** True when the page could be written this way. */
  write(address: Hva, value: number): boolean {
    const entry = this.entries.get(address);
    if (!entry?.writable) return false;
    this.bench.memory.tables.store64(hpaOf(entry.pfn, 16), value, 0);
    entry.dirty = true;
    return true;
  }
  assertCurrent(): void {
    for (const [address, { pfn, writable }] of this.entries) {
      assert.equal(this.bench.process.translate(address), pfn);
      assert.ok(!writable || this.bench.process.isWritable(address));
    }
  }
  /** A restored host starts with empty copies. */
  clear(): void {
    this.entries.clear();
  }
}

/** The oracle: words by page, with nothing of frames, sharing, swap or sizes. */
class Model {
  readonly words = new Map<number, number>();
  readonly readonly = new Set<number>();
  readonly file = new Array<number>(FILE_PAGES).fill(0);
  fileSize = FILE_PAGES;

  constructor(readonly pages: readonly number[]) {
    for (const k of pages) if (k < SHARED || k >= PRIVATE + FILE_PAGES) this.words.set(k, 0);
  }
  filePage(k: number): number | undefined {
    const first = k >= PRIVATE ? PRIVATE : SHARED;
    return k >= SHARED && k < first + FILE_PAGES ? k - first : undefined;
  }
  get(k: number): Word {
    const page = this.filePage(k);
    if (page !== undefined && page >= this.fileSize) return "fails";
    return this.words.get(k) ?? (page === undefined ? undefined : this.file[page]);
  }
  put(k: number, value: number): void {
    const page = this.filePage(k);
    if (page === undefined || k >= PRIVATE) this.words.set(k, value);
    else this.file[page] = value;
  }
  discard(k: number): void {
    if (this.filePage(k) !== undefined) this.words.delete(k);
    else if (this.words.has(k)) this.words.set(k, 0);
  }
  truncate(size: number): void {
    this.fileSize = size;
    this.file.fill(0, size);
    for (let page = size; page < FILE_PAGES; page++) this.words.delete(PRIVATE + page);
  }
}

const ACTIONS: readonly HostAction[] = [
  ...(["swap-out", "migrate", "merge", "collapse", "split", "age", "reclaim"] as const),
  ...(["discard", "read-only", "writable", "poison"] as const),
];
const MOVES = ["write", "write", "read", "fill", "copied write", "reclaim all", "restore"] as const;
const MAPS = ["unmap", "map", "map over", "truncate", "lengthen"] as const;

const stepOn = (pages: readonly number[]) =>
  fc.record({
    what: fc.constantFrom(...ACTIONS, ...MOVES, ...MAPS),
    k: fc.constantFrom(...pages),
    // Few values, so that pages come to hold the same bytes.
    value: fc.integer({ min: 1, max: 3 }),
  });
type Step = {
  what: HostAction | (typeof MOVES)[number] | (typeof MAPS)[number];
  k: number;
  value: number;
};

function play(bench: Bench, backing: Backing, model: Model, steps: readonly Step[]): void {
  const { process: owner } = bench;
  const copies = [new Copy(bench, false), new Copy(bench, true)];
  for (const { what, k, value } of steps) {
    const before = model.get(k);
    const may = typeof before === "number" && !model.readonly.has(k);
    switch (what) {
      case "write": {
        const kind = bench.put(k, value);
        if (kind !== "out-of-memory") assert.equal(kind === "page", may, `write: ${kind}`);
        if (kind === "page") model.put(k, value);
        break;
      }
      case "read":
        if (bench.kind(k) === "page") assert.equal(typeof before, "number");
        break;
      case "fill":
        for (const copy of copies) copy.fill(page(k));
        break;
      case "copied write":
        if (copies[value % 2]?.write(page(k), value)) model.put(k, value);
        break;
      case "reclaim all":
        owner.reclaim(1000);
        break;
      case "restore": {
        for (const copy of copies) copy.invalidateStart({ start: page(0), end: page(4096) });
        const saved = { memory: bench.memory.save(), process: owner.save() };
        bench.memory.restore(saved.memory);
        owner.restore(saved.process);
        assert.deepEqual({ memory: bench.memory.save(), process: owner.save() }, saved);
        break;
      }
      case "unmap":
        if (model.filePage(k) !== undefined) break;
        owner.munmap(page(k), 4096);
        model.words.delete(k);
        model.readonly.delete(k);
        break;
      case "map":
      case "map over": {
        if (model.filePage(k) !== undefined) break;
        const { kind } =
          what === "map"
            ? owner.mmap(page(k), 4096, backing)
            : owner.mmapOver(page(k), 4096, backing);
        if (what === "map") assert.equal(kind === "mapped", before === undefined);
        if (kind !== "mapped") break;
        model.words.set(k, 0);
        model.readonly.delete(k);
        break;
      }
      case "truncate":
        if (bench.act("truncate", k).kind === "done") model.truncate(model.filePage(k) ?? 0);
        break;
      case "lengthen":
        if (owner.resizeFile("disk", FILE_PAGES) === undefined) model.fileSize = FILE_PAGES;
        break;
      case "poison":
        if (bench.act("poison", k).kind !== "done") break;
        assert.equal(bench.get(k), undefined);
        assert.equal(bench.kind(k, !model.readonly.has(k)), "poisoned");
        assert.deepEqual(owner.check(), []);
        bench.act("unpoison", k);
        break;
      default: {
        const { kind } = bench.act(what, k);
        if (kind !== "done") break;
        if (what === "discard") model.discard(k);
        if (what === "read-only") model.readonly.add(k);
        if (what === "writable") model.readonly.delete(k);
      }
    }
    for (const copy of copies) copy.assertCurrent();
    for (const j of model.pages) {
      const word = model.get(j);
      assert.equal(
        bench.get(j),
        word === "fails" ? undefined : word,
        `page ${j} after ${what} ${k}`,
      );
    }
    assert.deepEqual(owner.check(), []);
  }
  const starts = bench.heard.filter((text) => text.includes(" start "));
  const ends = bench.heard.filter((text) => text.includes(" end "));
  assert.equal(starts.length, ends.length);
}

describe(`the host process against a map of words (PENUMBRA_SEED=${seed} PENUMBRA_RUNS=${runs})`, () => {
  it("F-007 F-039 whatever the host does, a page keeps its bytes, and copies of its page table stay right", () => {
    const anonymous = [0, 1, 2, 3, 4, 5];
    const files = [0, 1, 2, 3].flatMap((i) => [SHARED + i, PRIVATE + i]);
    const pages = [...anonymous, ...files];
    fc.assert(
      fc.property(fc.array(stepOn(pages), { maxLength: 60 }), (steps) => {
        // Fewer frames than pages: allocation fails too.
        const bench = workbench(ANONYMOUS, anonymous.length, { low: 1, guest: 11, mmu: 1 });
        const { process: owner } = bench;
        owner.createFile("disk", FILE_PAGES);
        const file = { kind: "file", file: "disk", firstPage: 0, writable: true } as const;
        owner.mmap(page(SHARED), FILE_PAGES * 4096, { ...file, shared: true });
        owner.mmap(page(PRIVATE), FILE_PAGES * 4096, { ...file, shared: false });
        play(bench, ANONYMOUS, new Model(pages), steps);
      }),
      { seed, numRuns: runs },
    );
  }).timeout(10_000 + 40 * runs);

  it("F-007 the same with huge pages that come, go, split and move", () => {
    const pages = [0, 1, 511, 512, 513, 1023, 1024];
    fc.assert(
      fc.property(fc.array(stepOn(pages), { maxLength: 25 }), (steps) => {
        const bench = workbench(THP, 1025, { low: 1, guest: 3 * 512 + 4, mmu: 1 });
        bench.process.createFile("disk", 1);
        play(bench, THP, new Model(pages), steps);
      }),
      { seed, numRuns: Math.ceil(runs / 10) },
    );
  }).timeout(20_000 + 100 * runs);
});
