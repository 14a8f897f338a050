/**
 * A decoded instruction in wasm memory: 32 bytes. Memory operands use base…disp, branches the same
 * space for links and addresses. A block is a header record followed by its instructions; the header
 * keeps their number at `count`.
 */
export const RECORD = {
  /** u16 handler number. */
  handler: 0,
  /** u8 place in the block, from 0. */
  index: 2,
  /** u8 log2 scale. */
  scale: 3,
  /** u16 struct addresses of the first and second register operand; a segment operand's selector in r2. */
  r1: 4,
  r2: 6,
  /** u16 struct addresses of base and index, `S.zero` for none. */
  base: 8,
  indexRegister: 10,
  /** u16 struct address of the segment. */
  segment: 12,
  /** u16 address size in bytes. */
  addressSize: 14,
  /** i64 immediate; next ip of indirect calls. */
  imm: 16,
  /** i64 displacement. */
  disp: 24,
  /** Branches. i64 fall-through ip (return address of calls). */
  nextIp: 8,
  /** u32 header record of the target and of the fall-through block, 0 when not linked. */
  taken: 16,
  fallThrough: 20,
  /** i64 target ip. */
  target: 24,
  /** Headers: u32 instructions in the block. */
  count: 4,
} as const;
export const RECORD_BYTES = 32;

/** Why generated code came back; the negative of these is what `run` returns. */
export const EXIT = {
  lookup: 1,
  budget: 3,
  fault: 4,
  sysop: 6,
  slow: 7,
  changed: 8,
} as const;

/** Second argument of the `miss` import: bytes accessed, and these (`reads`: a store that first looks at what is there). */
export const MISS = { bytes: 0xff, write: 0x100, stack: 0x200, reads: 0x400 } as const;
/** Results of `miss` at or above this are exits, below it host addresses. */
export const FIRST_EXIT = 0xffff_fff0;
/** Returned by the quick segment check in place of a linear address; never canonical. */
export const SEGMENT_FAILED = 0x8000_0000_0000_0000n;
