/** Where the parts of a fuzzed guest are: gpa = gva below 8 MB, mapped by 2 MB pages. */
export const CODE64 = 0x110000;
export const GDT = 0x120000;
export const IDT = 0x121000;
export const HANDLERS = 0x123000;
export const STACK_TOP = 0x140000;

/** Two roots that share all below them. */
export const ROOTS = [0x200000, 0x201000] as const;
export const PDPT = 0x202000;
export const PD_LOW = 0x203000;
export const PD_TEST = 0x204000;
/** Level-1 tables of the tested region, one for each of its 2 MB parts. */
export const TABLES = [0x205000, 0x206000, 0x207000, 0x208000] as const;

/** Frames the tested pages may map; each begins with a jump through r13, so that a fetch comes back. */
export const FRAMES = Array.from({ length: 12 }, (_, i) => 0x300000 + i * 0x1000);
/** A 2 MB page that holds nothing else: a large page of the tested region, never executable. */
export const LARGE_FRAME = 0x600000;
/** First address of the tested region; each part of 2 MB is used up to this many pages. */
export const REGION = 0x40000000n;
export const PAGES = 6;
/** Bytes at the start of a frame that are code and are never written. */
export const CODE_BYTES = 16;
export const MEMORY = 8 * 2 ** 20;

export const pageAt = (part: number, page: number): bigint =>
  REGION + BigInt(part) * 0x200000n + BigInt(page) * 0x1000n;
