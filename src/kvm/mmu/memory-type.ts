/** Memory types by number, as MTRRs and EPT entries have them (SDM 3A 12.11.2.1). */
const MEMORY_TYPES: Readonly<Record<number, readonly [short: string, name: string]>> = {
  0: ["UC", "uncacheable"],
  1: ["WC", "write-combining"],
  4: ["WT", "write-through"],
  5: ["WP", "write-protected"],
  6: ["WB", "write-back"],
};

/** Lowest of the three bits that hold it in an EPT leaf (SDM 3C 30.3.7). */
export const EPT_MEMORY_TYPE_BIT = 3;

/** The memory type in the low half of an EPT leaf, in short and in words. */
export function eptMemoryType(lo: number): { readonly short: string; readonly name: string } {
  const [short, name] = MEMORY_TYPES[(lo >>> EPT_MEMORY_TYPE_BIT) & 7] ?? ["MT?", "reserved"];
  return { short, name };
}
