import assert from "node:assert/strict";
import {
  type Backing,
  GUEST_HVA,
  type HostAction,
  HostMemory,
  HostProcess,
  type HvaRange,
  hostMemoryBytes,
  type MmuNotifier,
  performHostAction,
  type ZonePages,
} from "../../src/host";
import { type Hva, hpaOf, hva, Trace, type TraceEvent } from "../../src/x86";

export const small: ZonePages = { low: 4, guest: 16, mmu: 8 };
const BASE = 0x3000;

/** Host memory over plain bytes, starting somewhere inside them. */
export function memoryOf(pages: ZonePages = small): HostMemory {
  const buffer = new ArrayBuffer(BASE + hostMemoryBytes(pages));
  return new HostMemory({ buffer }, BASE, pages);
}

/** Writes down what it is told; its pages are young when `young` says so. */
export class Listener implements MmuNotifier {
  young = false;
  constructor(
    private readonly name: string,
    readonly heard: string[],
  ) {}
  invalidateStart(range: HvaRange): void {
    this.heard.push(`${this.name} start ${text(range)}`);
  }
  invalidateEnd(range: HvaRange): void {
    this.heard.push(`${this.name} end ${text(range)}`);
  }
  clearFlushYoung(range: HvaRange): boolean {
    this.heard.push(`${this.name} clear-flush ${text(range)}`);
    return this.young;
  }
  clearYoung(range: HvaRange): boolean {
    this.heard.push(`${this.name} clear ${text(range)}`);
    return this.young;
  }
  testYoung(range: HvaRange): boolean {
    this.heard.push(`${this.name} test ${text(range)}`);
    return this.young;
  }
  release(): void {
    this.heard.push(`${this.name} release`);
  }
}

const text = ({ start, end }: HvaRange): string => `${pageNumber(start)}-${pageNumber(end)}`;
const pageNumber = (address: Hva): number => (address - GUEST_HVA) / 4096;

/** The k-th page of guest memory in the process. */
export const page = (k: number): Hva => hva(GUEST_HVA + 4096 * k);

/** A process with eight writable pages, and what its trace and one notifier said. */
export function host(pages = small) {
  const trace = new Trace();
  const memory = memoryOf(pages);
  const process = new HostProcess(memory, trace);
  process.mmap(GUEST_HVA, 8 * 4096, { kind: "anonymous", writable: true });
  const heard: string[] = [];
  const events: TraceEvent[] = [];
  trace.on("*", (event) => {
    events.push(event);
    if (event.name !== "host_action") heard.push(event.name);
  });
  const listener = new Listener("n", heard);
  process.notifiers.register(listener);
  return { trace, memory, process, heard, events, listener };
}

export const ANONYMOUS: Backing = { kind: "anonymous", writable: true };
export const THP: Backing = { kind: "anonymous", writable: true, thp: true };

/** A host whose pages 0 … are backed as asked, with words to change and look at them. */
export function workbench(backing: Backing, pages: number, zones: ZonePages) {
  const all = host(zones);
  const { process, trace, memory, heard, events } = all;
  process.munmap(GUEST_HVA, 8 * 4096);
  const mapped = process.mmap(GUEST_HVA, pages * 4096, backing);
  assert.deepEqual(mapped, { kind: "mapped" });
  heard.length = 0;
  events.length = 0;
  return {
    ...all,
    act: (action: HostAction, k: number) => performHostAction(process, trace, action, page(k)),
    /** The reason why an action was refused, or what came of it. */
    reason(action: HostAction, k: number): string {
      const outcome = performHostAction(process, trace, action, page(k));
      return outcome.kind === "refused" ? outcome.reason : (outcome.note ?? outcome.kind);
    },
    /** Writes a word to a page, as the process would; what came of it. */
    put(k: number, value: number): string {
      const found = process.faultIn(page(k), true);
      if (found.kind === "page") memory.tables.store64(hpaOf(found.pfn, 16), value, 0);
      return found.kind;
    },
    /** The word, wherever the page is; undefined where a read fails. */
    get(k: number): number | undefined {
      const bytes = process.contents(page(k));
      return bytes && new DataView(bytes.buffer, bytes.byteOffset).getUint32(16, true);
    },
    kind: (k: number, write = false): string => process.faultIn(page(k), write).kind,
    sound: (): void => assert.deepEqual(process.check(), []),
  };
}
