import { type Pfn, pfn } from "../x86";

/** Sizes of host page table entries: 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB. */
export type HostLevel = 1 | 2 | 3;

/**
 * What lies behind a mapping.
 *
 * - `anonymous`: zero on first use; with `thp` the first use of a whole free 2 MiB brings a huge page.
 * - `file`: page `firstPage` of the file and on, through the page cache. Writes to a mapping that is not
 *   `shared` go to copies.
 * - `hugetlb`: pages of one huge size, set aside when they are mapped.
 * - `device`: frames of a device from `first` on, which nobody counts (VM_PFNMAP); entries are as large as
 *   `level` and the alignment allow.
 */
export type Backing =
  | { readonly kind: "anonymous"; readonly writable: boolean; readonly thp?: boolean }
  | {
      readonly kind: "file";
      readonly writable: boolean;
      readonly file: string;
      readonly firstPage: number;
      readonly shared: boolean;
    }
  | { readonly kind: "hugetlb"; readonly writable: boolean; readonly level: 2 | 3 }
  | {
      readonly kind: "device";
      readonly writable: boolean;
      readonly first: Pfn;
      readonly level: HostLevel;
    };

/** The backing of a mapping whose first `pages` pages are left out. */
export function backingFrom(backing: Backing, pages: number): Backing {
  if (backing.kind === "file") return { ...backing, firstPage: backing.firstPage + pages };
  if (backing.kind === "device") return { ...backing, first: pfn(backing.first + pages) };
  return backing;
}

/** Both are the same memory with the same rights. */
export function isSameBacking(one: Backing, two: Backing): boolean {
  const fields = Object.entries(one);
  const others: Readonly<Record<string, unknown>> = { ...two };
  return (
    fields.length === Object.keys(others).length &&
    fields.every(([name, value]) => others[name] === value)
  );
}
