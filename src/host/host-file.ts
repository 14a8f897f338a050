import { PAGE_SIZE, type Pfn, pfn } from "../x86";

export interface HostFileState {
  readonly name: string;
  readonly pages: number;
  readonly lost: boolean;
  readonly disk: readonly (readonly [page: number, bytes: Uint8Array])[];
  readonly cache: readonly (readonly [page: number, pfn: number])[];
}

/** A file of the host: what is on its disk, and the page cache over it. */
export class HostFile {
  /** Pages that are not all zero on the disk. Never written in place, so states may share them. */
  private readonly disk = new Map<number, Uint8Array>();
  /** Frames that hold pages of the file: the newest contents of those pages. */
  readonly cache = new Map<number, Pfn>();
  /** The disk or server is gone: only what is cached can still be read. */
  lost = false;

  constructor(
    readonly name: string,
    /** Size. A page at or beyond it cannot be touched. */
    public pages: number,
  ) {}

  /** What the disk has; undefined for zeros. */
  read(page: number): Uint8Array | undefined {
    return this.disk.get(page);
  }
  /** The bytes become the file's own: they must not be changed afterwards. */
  write(page: number, bytes: Uint8Array): void {
    if (bytes.length !== PAGE_SIZE) throw new Error("a file is written by whole pages");
    this.disk.set(page, bytes);
  }
  /** Forgets all from page `pages` on. The caller has taken those pages out of the cache. */
  truncate(pages: number): void {
    this.pages = pages;
    for (const page of [...this.disk.keys()]) if (page >= pages) this.disk.delete(page);
  }

  save(): HostFileState {
    const { name, pages, lost } = this;
    return { name, pages, lost, disk: rising(this.disk), cache: rising(this.cache) };
  }
  static restored(state: HostFileState): HostFile {
    const file = new HostFile(state.name, state.pages);
    file.lost = state.lost;
    for (const [page, bytes] of state.disk) file.disk.set(page, bytes);
    for (const [page, frame] of state.cache) file.cache.set(page, pfn(frame));
    return file;
  }
}

const rising = <T>(map: ReadonlyMap<number, T>): [number, T][] =>
  [...map].sort(([a], [b]) => a - b);
