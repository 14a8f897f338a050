import {
  ACCESS,
  CR0,
  CR4,
  EFER,
  type EptFeatures,
  type PagingControls,
  type PagingFeatures,
} from "../../../src/x86";
import { type Outcome, referenceTranslate } from "./reference-walk";
import { longMode, type Tables } from "./tables";

/**
 * A second model of two-dimensional paging, for tests alone: all in bigint, EPT entries written out from
 * SDM 3C 28.3, nested paging as user accesses through the one-dimensional model (APM 2 15.25).
 */
export type Stage =
  | { readonly kind: "ept"; readonly root: number; readonly features: EptFeatures }
  | { readonly kind: "npt"; readonly root: number; readonly features: PagingFeatures };

export type Exit =
  | { readonly exit: "ept-violation"; readonly gpa: number; readonly qualification: number }
  | { readonly exit: "ept-misconfiguration" | "pml-full"; readonly gpa: number }
  | { readonly exit: "npf"; readonly gpa: number; readonly errorCode: number };

/** What the guest's tables or the data access do with a guest-physical address. */
export type Use = "data" | "table" | "update";

/** Thrown through the guest's walk: a model may do what the product may not. */
class Left extends Error {
  constructor(readonly exit: Exit) {
    super(exit.exit);
  }
}

/** A log of at most `room` addresses. */
export interface Log {
  room: number;
  readonly entries: number[];
}

export class ReferenceStage {
  constructor(
    private readonly host: Tables,
    private readonly stage: Stage,
    private readonly log: Log | undefined,
  ) {}

  /** Host-physical address. */
  translate(gpa: number, use: Use, access: number): number {
    return this.stage.kind === "npt" ? this.npt(gpa, use, access) : this.ept(gpa, use, access);
  }

  private npt(gpa: number, use: Use, access: number): number {
    const { stage, host } = this;
    const kind =
      ACCESS.user | (use === "data" ? access & (ACCESS.write | ACCESS.fetch) : ACCESS.write);
    const features = stage.features as PagingFeatures;
    const out = referenceTranslate(host, longMode, features, stage.root, BigInt(gpa), kind, false);
    if ("frame" in out) return out.frame * 4096 + (gpa % 4096);
    const place = use === "data" ? 2 ** 32 : 2 ** 33;
    throw new Left({ exit: "npf", gpa, errorCode: out.error + place });
  }

  private ept(gpa: number, use: Use, access: number): number {
    const { host } = this;
    const features = this.stage.features as EptFeatures;
    const ad = features.accessedDirty;
    const read =
      use === "data" ? (access & (ACCESS.write | ACCESS.fetch)) === 0 : use === "table" || ad;
    const write = use === "data" ? (access & ACCESS.write) !== 0 : use === "update" || ad;
    const fetch = use === "data" && (access & ACCESS.fetch) !== 0;
    const leave = (allowed: bigint): never => {
      const qualification =
        (read ? 1 : 0) |
        (write ? 2 : 0) |
        (fetch ? 4 : 0) |
        (Number(allowed) << 3) |
        0x80 |
        (use === "data" ? 0x100 : 0);
      throw new Left({ exit: "ept-violation", gpa, qualification });
    };
    let table = BigInt(this.stage.root);
    let allowed = 7n;
    const used: { at: number; entry: bigint }[] = [];
    if (features.levels === 4 && gpa >= 2 ** 48) leave(0n);
    for (let level = features.levels as number; ; level--) {
      const low = BigInt(3 + 9 * level);
      const at = Number(table + 8n * ((BigInt(gpa) >> low) & 0x1ffn));
      const entry = host.peek(at) ?? 0n;
      if ((entry & 7n) === 0n) leave(0n);
      const large =
        (entry & 0x80n) !== 0n &&
        ((level === 2 && features.megabytePages) || (level === 3 && features.gigabytePages));
      if (this.wrong(entry, level, large, features))
        throw new Left({ exit: "ept-misconfiguration", gpa });
      allowed &= entry;
      used.push({ at, entry });
      if (level > 1 && !large) {
        table = entry & 0xffffffffff000n;
        continue;
      }
      if ((read && !(allowed & 1n)) || (write && !(allowed & 2n)) || (fetch && !(allowed & 4n)))
        leave(allowed);
      if (ad) this.mark(gpa, used, write);
      const span = 1n << low;
      return Number((entry & 0xffffffffff000n & ~(span - 1n)) | (BigInt(gpa) & (span - 1n)));
    }
  }

  private mark(gpa: number, used: readonly { at: number; entry: bigint }[], write: boolean): void {
    const leaf = used.at(-1)!;
    const dirties = write && !(leaf.entry & 0x200n);
    if (dirties && this.log) {
      if (this.log.room === 0) throw new Left({ exit: "pml-full", gpa });
      this.log.room--;
      this.log.entries.push(gpa - (gpa % 4096));
    }
    for (const one of used)
      this.host.set(one.at, one.entry | 0x100n | (one === leaf && dirties ? 0x200n : 0n));
  }

  private wrong(entry: bigint, level: number, large: boolean, features: EptFeatures): boolean {
    const field = (high: number, low: number) =>
      high < low ? 0n : (entry >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);
    if (field(51, features.physicalBits) !== 0n) return true;
    const rwx = field(2, 0);
    if (rwx === 2n || rwx === 6n || (rwx === 4n && !features.executeOnly)) return true;
    if (level === 1 || large) {
      if ([2n, 3n, 7n].includes(field(5, 3))) return true;
      return large && field(level === 2 ? 20 : 29, 12) !== 0n;
    }
    // A pointer to a table: bit 7 is the page-size bit where there are such pages, and then clear.
    return field(7, 3) !== 0n;
  }
}

/** The guest's memory as its walk sees it. */
class GuestMemory {
  constructor(
    private readonly host: Tables,
    private readonly stage: ReferenceStage,
  ) {}
  peek(at: number, bytes: 4 | 8 = 8): bigint | undefined {
    return this.host.peek(this.stage.translate(at, "table", 0), bytes);
  }
  set(at: number, value: bigint, bytes: 4 | 8 = 8): unknown {
    if (this.host.peek(this.stage.translate(at, "table", 0), bytes) === value) return this;
    this.host.set(this.stage.translate(at, "update", 0), value, bytes);
    return this;
  }
}

const isPae = ({ cr0, cr4, efer }: PagingControls): boolean =>
  (cr0 & CR0.PG) !== 0n && (cr4 & CR4.PAE) !== 0n && (efer & EFER.LMA) === 0n;

/** PDPTEs as SVM's nested paging finds them: in memory, the one that is used. */
function pdptes(guest: Tables, table: number, va: bigint): bigint[] {
  const used = 3 & Number(va >> 30n);
  return [0, 1, 2, 3].map((i) => (i === used ? (guest.peek(table + 8 * i) ?? 0n) : 0n));
}

const isReserved = (pdpte: bigint, { physicalBits }: PagingFeatures): boolean =>
  (pdpte & 1n) !== 0n && ((pdpte & 0x1e6n) !== 0n || pdpte >> BigInt(physicalBits) !== 0n);

/** Frame, level and error are the guest's; `host` is the address that the access reaches. */
export type Outcome2d = (Outcome & { readonly host?: number }) | Exit;

export function reference2d(
  host: Tables,
  stage: ReferenceStage,
  controls: PagingControls,
  features: PagingFeatures,
  root: number | readonly bigint[],
  va: bigint,
  access: number,
  ac: boolean,
): Outcome2d {
  try {
    const guest = new GuestMemory(host, stage) as unknown as Tables;
    const top = isPae(controls) && typeof root === "number" ? pdptes(guest, root, va) : root;
    const reserved = typeof top === "object" && isReserved(top[3 & Number(va >> 30n)]!, features);
    const out = reserved
      ? { error: 9 | (access & (controls.efer & EFER.NX ? 0x16 : 0x6)) }
      : referenceTranslate(guest, controls, features, top, va, access, ac);
    if ("error" in out) return out;
    const at = stage.translate(out.frame * 4096 + Number(va & 0xfffn), "data", access);
    return { ...out, host: at };
  } catch (left) {
    if (left instanceof Left) return left.exit;
    throw left;
  }
}
