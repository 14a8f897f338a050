/** Sizes of host page table entries: 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB. */
export type HostLevel = 1 | 2 | 3;

/**
 * What lies behind a mapping.
 *
 * - `anonymous`: zero on first use; with `thp` the first use of a whole free 2 MiB brings a huge page.
 * - `file`: page `firstPage` of the file and on, through the page cache. Writes to a mapping that is not
 *   `shared` go to copies.
 */
export type Backing =
  | { readonly kind: "anonymous"; readonly writable: boolean; readonly thp?: boolean }
  | {
      readonly kind: "file";
      readonly writable: boolean;
      readonly file: string;
      readonly firstPage: number;
      readonly shared: boolean;
    };

/** The backing of a mapping whose first `pages` pages are left out. */
export function backingFrom(backing: Backing, pages: number): Backing {
  return backing.kind === "file" ? { ...backing, firstPage: backing.firstPage + pages } : backing;
}
