import type { PlainMemory } from "./plain-memory";
import type { PlainVcpu } from "./plain-vcpu";
import {
  A,
  ALL_RIGHTS,
  accessCode,
  D,
  entryAddress,
  entryBytesOf,
  type Features,
  hasPdpteRegisters,
  isPdpte,
  keyOf,
  levelsOf,
  mapsPage,
  narrowed,
  P,
  type PlainAccess,
  type Rights,
  refusal,
  reservedBits,
  rootTable,
  shiftOf,
  target,
} from "./plain-walk";
import type { Mode } from "./setup";

/** Bits the processor sets in an entry on the way. */
export interface Mark {
  readonly gpa: number;
  readonly size: 4 | 8;
  readonly bits: bigint;
}

/** One thing an access may legally come to. `stale`: by a translation that is no longer in the tables. */
export type Legal =
  | { readonly kind: "fault"; readonly error: number }
  | {
      readonly kind: "reaches";
      readonly gpa: number;
      readonly marks: readonly Mark[];
      readonly stale: boolean;
    };

/** More combinations of stale entries than this are not told apart: the caller flushes. */
const TOO_MANY = 48;

/** The walk so far: from the root down to a table. */
interface Descent {
  readonly level: number;
  readonly table: number;
  readonly rights: Rights;
  readonly marks: readonly Mark[];
  /** When the first of the stale values on the way went; undefined while there is none. */
  readonly staleAt: number | undefined;
}

/**
 * Everything an access at `va` may come to: by the tables as they are, or by any mix of values that
 * their entries held since the processor last flushed them, if those values could be cached
 * (SDM 3A 4.10.2, 4.10.3). Only the tables as they are can fault: what faults is looked up again.
 * Undefined: too many to list.
 */
export function legalOutcomes(
  memory: PlainMemory,
  vcpu: PlainVcpu,
  features: Features,
  va: bigint,
  access: PlainAccess,
  fresh = false,
): readonly Legal[] | undefined {
  const { mode } = vcpu;
  if (mode === "none")
    return [{ kind: "reaches", gpa: Number(va & 0xffffffffn), marks: [], stale: false }];
  const found: Legal[] = [];
  const walker = new Walker(memory, vcpu, features, va, access, mode, fresh, found);
  walker.fromRoots();
  return found.length > TOO_MANY ? undefined : found;
}

class Walker {
  private readonly since: number;
  constructor(
    private readonly memory: PlainMemory,
    private readonly vcpu: PlainVcpu,
    private readonly features: Features,
    private readonly va: bigint,
    private readonly access: PlainAccess,
    private readonly mode: Mode,
    private readonly fresh: boolean,
    private readonly found: Legal[],
  ) {
    this.since = vcpu.flushed;
  }

  fromRoots(): void {
    const { mode, vcpu, va } = this;
    const level = levelsOf(mode);
    if (mode === "PAE" && hasPdpteRegisters(this.features)) {
      const entry = vcpu.pdptes[Number((va >> 30n) & 3n)]!;
      if (!(entry & P)) this.fault(0);
      else
        this.below({
          level: 2,
          table: target(mode, 3, entry, false),
          rights: ALL_RIGHTS,
          marks: [],
          staleAt: undefined,
        });
      return;
    }
    const from = (cr3: bigint, staleAt: number | undefined): void =>
      this.below({ level, table: rootTable(mode, cr3), rights: ALL_RIGHTS, marks: [], staleAt });
    from(vcpu.cr3, undefined);
    if (!this.fresh) for (const old of vcpu.staleRoots()) from(old.cr3, old.until);
  }

  private below(descent: Descent): void {
    if (this.found.length > TOO_MANY) return;
    const { mode, memory } = this;
    const { level, table, staleAt } = descent;
    const size = entryBytesOf(mode);
    const at = entryAddress(mode, level, table, this.va);
    const entry = memory.read(at, size);
    if (entry === undefined) {
      if (staleAt === undefined) this.fault(0);
      return;
    }
    this.through(descent, at, entry, staleAt, false);
    if (this.fresh) return;
    for (const old of memory.heldSince(at, size, this.since))
      if (old.value !== entry)
        this.through(descent, at, old.value, Math.min(staleAt ?? old.until, old.until), true);
  }

  /** One value the entry may have. An old one counts only if it could be cached: present, legal, accessed. */
  private through(
    descent: Descent,
    at: number,
    entry: bigint,
    staleAt: number | undefined,
    old: boolean,
  ): void {
    const { mode, vcpu, features } = this;
    const { level } = descent;
    const current = staleAt === undefined;
    if (!(entry & P)) {
      if (current) this.fault(0);
      return;
    }
    const leaf = mapsPage(mode, level, entry, vcpu);
    if (entry & reservedBits(mode, level, leaf, vcpu, features)) {
      if (current) this.fault(9);
      return;
    }
    const rights = narrowed(descent.rights, mode, level, entry);
    const used = leaf && this.access.kind === "write" ? A | D : A;
    const wanted = isPdpte(mode, level) ? 0n : used;
    const missing = wanted & ~entry;
    if (old && missing) return;
    const marks = missing
      ? [...descent.marks, { gpa: at, size: entryBytesOf(mode), bits: missing }]
      : descent.marks;
    if (leaf) this.leaf(level, entry, { ...descent, rights, marks, staleAt });
    else
      this.below({
        level: level - 1,
        table: target(mode, level, entry, false),
        rights,
        marks,
        staleAt,
      });
  }

  private leaf(level: number, entry: bigint, descent: Descent): void {
    const { mode, vcpu, va } = this;
    const { staleAt, rights, marks } = descent;
    const size = 1n << BigInt(shiftOf(mode, level));
    const code = refusal(this.access, rights, keyOf(entry), vcpu);
    if (staleAt !== undefined) {
      const inPage = (flushed: bigint): boolean => (flushed ^ va) < size;
      if (code !== 0 || vcpu.droppedSince(staleAt, inPage)) return;
    } else if (code !== 0) {
      this.fault(code);
      return;
    }
    const { memory } = this;
    this.found.push({
      kind: "reaches",
      gpa: target(mode, level, entry, true) + Number(va & (size - 1n)),
      // Nothing can be set in an entry that lies in read-only memory.
      marks: marks.filter((mark) => memory.isWritable(mark.gpa)),
      stale: staleAt !== undefined,
    });
  }

  private fault(code: number): void {
    this.found.push({ kind: "fault", error: code | accessCode(this.access, this.vcpu) });
  }
}
