/** How L1 made its tables for L2, as the manuals have them. */
export interface PlainFormat {
  readonly name: string;
  readonly levels: 2 | 3 | 4;
  readonly bytes: 4 | 8;
  readonly ept: boolean;
  /** Bits that a walk sets; 0n where it sets none. */
  readonly accessed: bigint;
  readonly dirty: bigint;
}

export type Access = "read" | "write" | "fetch";

/** What an access of L2's leads to, and what the walk stores into L1's tables on the way. */
export type PlainOutcome =
  | { readonly kind: "gpa"; readonly gpa: number; readonly stores: ReadonlyMap<number, bigint> }
  | { readonly kind: "refused"; readonly error: number; readonly rights: number };

const PHYSICAL_BITS = 46n;
const ADDRESS = 0xffffffffff000n;
const P = 1;
const RSVD = 8;
/** User, as every access of L2's counts, with the bits of each; EPT has no users: U is read there. */
const CODES = {
  npt: { read: 4, write: 6, fetch: 0x14 },
  ept: { read: 4, write: 2, fetch: 0x10 },
} as const;
const WANTED = { read: 4, write: 2, fetch: 1 } as const;

const mask = (low: bigint, high: bigint): bigint =>
  high < low ? 0n : ((1n << (high - low + 1n)) - 1n) << low;

/** U, W and X (4, 2, 1) that an entry grants. */
function rightsOf({ ept, bytes }: PlainFormat, entry: bigint): number {
  if (ept) return Number((entry & 1n) << 2n) | Number(entry & 2n) | Number((entry >> 2n) & 1n);
  const nx = bytes === 8 && entry >> 63n === 1n;
  return Number(entry & 6n) | (nx ? 0 : 1);
}

/** The entry is one that must not be (APM 2 5.3, 15.25.5; SDM 3C 28.3.2, 28.3.3.1). */
function isReserved({ ept, bytes, levels }: PlainFormat, level: number, entry: bigint): boolean {
  if (bytes === 4) return level === 2 && (entry & 0x80n) !== 0n && (entry & mask(17n, 21n)) !== 0n;
  const large = (entry & 0x80n) !== 0n;
  let bad = mask(PHYSICAL_BITS, 51n);
  if (large && (level === 2 || level === 3)) bad |= mask(ept ? 12n : 13n, level === 2 ? 20n : 29n);
  if (ept) {
    const [r, w, x] = [entry & 1n, entry & 2n, entry & 4n];
    if ((w && !r) || (!r && !w && !x)) return true;
    if ([2n, 3n, 7n].includes((entry >> 3n) & 7n)) return true;
    if (level === 4) bad |= mask(3n, 7n);
    else if (level > 1 && !large) bad |= mask(3n, 6n);
  } else {
    if (level === 4) bad |= 0x80n;
    if (levels === 3) bad |= mask(52n, 62n);
  }
  return (entry & bad) !== 0n;
}

const isPresent = ({ ept }: PlainFormat, entry: bigint): boolean =>
  (entry & (ept ? 7n : 1n)) !== 0n;

/**
 * L1's second dimension walked in the plainest way over a copy of its memory: nothing is cached, nothing is
 * shared with the walker of the product.
 */
export function plainWalk(
  format: PlainFormat,
  root: number,
  ngpa: number,
  access: Access,
  read: (at: number, bytes: 4 | 8) => bigint,
): PlainOutcome {
  const { levels, bytes, ept } = format;
  const told = CODES[ept ? "ept" : "npt"][access];
  // Without NX nobody tells fetches apart (SDM 3A 4.7).
  const code = bytes === 4 ? told & ~0x10 : told;
  const refused = (bits: number, rights = 0): PlainOutcome => ({
    kind: "refused",
    error: code | bits,
    rights,
  });
  const path: { at: number; entry: bigint }[] = [];
  let table = root;
  let rights = 7;
  let level: number = levels;
  if (levels === 3) {
    const pdpte = read(root + 8 * Math.floor(ngpa / 2 ** 30), 8);
    if (!(pdpte & 1n)) return refused(0);
    table = Number(pdpte & ADDRESS);
    level = 2;
  }
  for (; ; level--) {
    const span = bytes === 4 ? (level === 2 ? 2 ** 22 : 4096) : 4096 * 512 ** (level - 1);
    const index = Math.floor(ngpa / span) % (bytes === 4 ? 1024 : 512);
    const at = table + index * bytes;
    const entry = read(at, bytes);
    if (!isPresent(format, entry)) return refused(0);
    if (isReserved(format, level, entry)) return refused(P | RSVD);
    rights &= rightsOf(format, entry);
    path.push({ at, entry });
    const large = (entry & 0x80n) !== 0n && (level === 2 || (level === 3 && levels === 4));
    if (level > 1 && !large) {
      table = Number(entry & (bytes === 4 ? 0xfffff000n : ADDRESS));
      continue;
    }
    if (!isAllowed(rights, access, ept)) return refused(P, rights);
    const base = bytes === 4 && large ? entry & 0xffc00000n : entry & ADDRESS;
    const frame = Number(base) - (Number(base) % span);
    return { kind: "gpa", gpa: frame + (ngpa % span), stores: marks(format, path, access) };
  }
}

/** NPT accesses are a user's; an EPT access needs its own right and no other. */
const isAllowed = (rights: number, access: Access, ept: boolean): boolean =>
  (rights & WANTED[access]) !== 0 && (ept || (rights & 4) !== 0);

function marks(
  { accessed, dirty }: PlainFormat,
  path: readonly { at: number; entry: bigint }[],
  access: Access,
): ReadonlyMap<number, bigint> {
  const stores = new Map<number, bigint>();
  path.forEach(({ at, entry }, i) => {
    const isLeaf = i === path.length - 1;
    const now = stores.get(at) ?? entry;
    stores.set(at, now | accessed | (isLeaf && access === "write" ? dirty : 0n));
  });
  return stores;
}
