import type { Format } from "./format";
import { ACC } from "./permission";

/** Bits in the low half of an entry that the walker acts on; `bits.ts` says what they mean. */
export const ENTRY = {
  present: 1 << 0,
  writable: 1 << 1,
  user: 1 << 2,
  accessed: 1 << 5,
  dirty: 1 << 6,
  large: 1 << 7,
  global: 1 << 8,
} as const;

/** NX in the high half. */
export const ENTRY_HI_NX = 0x80000000;

/** ACC rights that one entry grants. A 4-byte entry has no NX: its `hi` is 0. */
export const entryRights = (lo: number, hi: number): number =>
  (lo & (ACC.write | ACC.user)) | (hi & ENTRY_HI_NX ? 0 : ACC.exec);

/** ACC rights that an EPT entry grants: U stands for readable (SDM 3C 28.3.2). */
export const eptRights = (lo: number): number =>
  ((lo & 1) << 2) | (lo & ACC.write) | ((lo >>> 2) & ACC.exec);

/** ACC rights that one entry of a format grants. */
export const rightsOf = (format: Format, lo: number, hi: number): number =>
  format.ept ? eptRights(lo) : entryRights(lo, hi);

/** Bits 51:12 of an entry as the physical address of a table. */
export const tableAddress = (lo: number, hi: number): number =>
  (hi & 0xfffff) * 0x100000000 + ((lo & 0xfffff000) >>> 0);
