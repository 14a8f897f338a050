import type { ByteSpace } from "./machine";

const PAGE = 4096;

/** Pages of one address space, looked up without side effects. `A` is the space's address type. */
export interface PageSource<A extends number | bigint> {
  /** The page's bytes (4096, not to be kept), `undefined` for a hole. */
  page(at: A): Uint8Array | undefined;
  /** Changes bytes inside one page; false when the page may not be written. */
  store(at: A, bytes: Uint8Array): boolean;
  /** First address at or after `at` with a page; `undefined` when there is none. */
  nextMapped(at: A): A | undefined;
}

/** A byte space over pages of 4 KiB. */
export function byteSpace<A extends number | bigint>(source: PageSource<A>): ByteSpace<A> {
  const add = (at: A, by: number): A =>
    (typeof at === "bigint" ? BigInt.asUintN(64, at + BigInt(by)) : Number(at) + by) as A;
  const offsetOf = (at: A): number =>
    typeof at === "bigint" ? Number(at & 0xfffn) : Number(at) % PAGE;
  return {
    read(at, length) {
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const here = add(at, done);
        const page = source.page(here);
        if (!page) break;
        const from = offsetOf(here);
        const part = page.subarray(from, Math.min(PAGE, from + length - done));
        bytes.set(part, done);
        done += part.length;
      }
      return bytes.subarray(0, done);
    },
    write(at, bytes) {
      let done = 0;
      while (done < bytes.length) {
        const here = add(at, done);
        const room = PAGE - offsetOf(here);
        const part = bytes.subarray(done, done + room);
        if (!source.page(here) || !source.store(here, part)) break;
        done += part.length;
      }
      return done;
    },
    nextMapped: (at) => source.nextMapped(at),
  };
}
