import {
  GUEST_HVA,
  HostMemory,
  HostProcess,
  type HvaRange,
  hostMemoryBytes,
  type MmuNotifier,
  type ZonePages,
} from "../../src/host";
import { type Hva, hva, Trace, type TraceEvent } from "../../src/x86";

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
    heard.push(event.name);
  });
  const listener = new Listener("n", heard);
  process.notifiers.register(listener);
  return { trace, memory, process, heard, events, listener };
}
