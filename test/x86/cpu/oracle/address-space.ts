import { Random } from "./random";

/**
 * Where a case's instruction and data are, natively and in the replay; all below 2 GiB so that every
 * mode reaches it. The pages around are missing. Scratch: writable pages, then read-only ones.
 */
export const SPACE = {
  code: 0x1000_0000,
  codePages: 3,
  scratch: 0x2000_0000,
  writablePages: 2,
  readOnlyPages: 1,
  /** GS base in 64-bit mode. */
  gsBase: 0x10_0000,
} as const;

export const PAGE = 4096;
export const SCRATCH_BYTES = (SPACE.writablePages + SPACE.readOnlyPages) * PAGE;
export const WRITABLE_BYTES = SPACE.writablePages * PAGE;

/** What the scratch region holds before a case's patches: lines of 64 bytes, random or of one edge value. */
export function baseline(): Uint8Array {
  const random = new Random(0x5ca7c4);
  const bytes = new Uint8Array(SCRATCH_BYTES);
  const view = new DataView(bytes.buffer);
  for (let line = 0; line < SCRATCH_BYTES; line += 64) {
    const same = random.chance(50) ? random.value(64) : undefined;
    for (let at = line; at < line + 64; at += 8) view.setBigUint64(at, same ?? random.u64(), true);
  }
  return bytes;
}
