import { ENTRY, rightsOf, tableAddress } from "./entry-mask";
import { eptMisconfigured } from "./ept-misconfiguration";
import { entryIndex, type Format } from "./format";
import { ACC, accessErrorBits, PFEC, permissionFault } from "./permission";
import { type ReservedMasks, reservedAt } from "./reserved";
import type { FrameOf, Physical, TablePort } from "./table-port";
import { type FaultReason, IN_REGISTER, type WalkResult } from "./walk-result";

/** Everything but the tables that decides the outcome of a walk. Made by `walkRules`. */
export interface WalkRules {
  readonly format: Format;
  readonly reserved: ReservedMasks;
  /** Under EPT: values of bits 5:0 that are a misconfiguration, one bit each, low half first. */
  readonly badMtXwr: Uint32Array;
  /** See `permissionTable`. */
  readonly permissions: Uint8Array;
  /** 0 when protection keys are off. */
  readonly pkruMask: number;
  readonly pkru: number;
  /** CR4.PGE: the G bit of a leaf counts. */
  readonly globalPages: boolean;
  /** EFER.NX or CR4.SMEP: error codes tell fetches apart (SDM 3A 4.7). */
  readonly fetchReported: boolean;
}

/** PDPTE registers: four entries as u32 halves, low first. */
export type PdpteRegisters = Uint32Array;
/** Top table, its low 12 bits ignored (for 4-byte formats too), or the PDPTE registers under PAE. */
export type WalkRoot<A extends Physical> = A | PdpteRegisters;

/** Hears the steps of a walk in order; a restarted walk reports its elements again. */
export interface WalkSink<A extends Physical> {
  /** An entry was read, whatever it says. */
  element?(level: number, at: A, lo: number, hi: number): void;
  /** The walk set A in the entry at `at`. */
  accessed?(level: number, at: A): void;
  /** The walk set D in the leaf at `at`. */
  dirty?(level: number, at: A): void;
}

/**
 * The one walker (SDM 3A 4.3 … 4.8): the processor over guest or shadow tables, KVM's guest walker
 * through memslots, and the debugger through a `PassivePort`. Faults are values in `out`. Rights
 * are checked before any A/D bit is set; those are then set from the top down, and an entry that
 * changed meanwhile restarts the walk. `access` is what `walkAccess` gives; `va` may have any width,
 * bits above the format's are ignored (`isCanonical` is the processor's check).
 */
export function walk<A extends Physical>(
  rules: WalkRules,
  root: WalkRoot<A>,
  va: bigint,
  access: number,
  port: TablePort<A>,
  out: WalkResult<A>,
  sink?: WalkSink<A>,
): WalkResult<A> {
  out.begin(va);
  return walkBegun(rules, root, access, port, out, sink);
}

/** The same walk for an address that is a number: a guest-physical one in the second dimension. */
export function walkPhysical<A extends Physical>(
  rules: WalkRules,
  root: WalkRoot<A>,
  address: number,
  access: number,
  port: TablePort<A>,
  out: WalkResult<A>,
  sink?: WalkSink<A>,
): WalkResult<A> {
  out.beginAt(address);
  return walkBegun(rules, root, access, port, out, sink);
}

function walkBegun<A extends Physical>(
  rules: WalkRules,
  root: WalkRoot<A>,
  access: number,
  port: TablePort<A>,
  out: WalkResult<A>,
  sink: WalkSink<A> | undefined,
): WalkResult<A> {
  if (rules.format.levels === 0) return withoutPaging(out);
  while (!attempt(rules, root, access, port, out, sink));
  return out;
}

/** False when an entry changed under the walk, which must then start again. */
function attempt<A extends Physical>(
  rules: WalkRules,
  root: WalkRoot<A>,
  access: number,
  port: TablePort<A>,
  out: WalkResult<A>,
  sink: WalkSink<A> | undefined,
): boolean {
  const rights = descend(rules, root, access, port, out, sink);
  if (rights < 0) return true;
  const { format } = rules;
  const { level } = out;
  const lo = out.entryLo(level);
  const hi = out.entryHi(level);
  out.access = rights;
  const pkey = format.protectionKeys ? (hi >>> 27) & 0xf : 0;
  out.pkey = pkey;
  const code = permissionFault(rules.permissions, rules.pkruMask, rules.pkru, rights, pkey, access);
  if (code !== 0) {
    fault(rules, access, out, code, code & PFEC.protectionKey ? "protection-key" : "permission");
    return true;
  }
  const write = (access & PFEC.write) !== 0;
  if (port.exchange) {
    const set = setAccessedDirty(format, write, port, out, sink);
    if (set === "changed") return false;
    if (set === "unreadable") {
      fault(rules, access, out, 0, "unreadable");
      return true;
    }
  }

  const below = (format.pages[level] ?? 1) - 1;
  const lowFrame = ((lo >>> 12) & ~below) | ((out.vaLo >>> 12) & below);
  // A 4 MiB page holds physical bits 35:32 in bits 16:13, else zero (PSE-36, SDM 3A table 4-4).
  const highFrame = format.entryBytes === 8 ? hi & 0xfffff : level === 2 ? (lo >>> 13) & 0xf : 0;
  out.kind = "translation";
  out.frame = (highFrame * 0x100000 + lowFrame) as FrameOf<A>;
  out.dirty = format.dirty === 0 || (out.entryLo(level) & format.dirty) !== 0;
  // Without the D bit writes must come back here: it is set on the first one.
  out.access = write || format.dirty === 0 || lo & format.dirty ? rights : rights & ~ACC.write;
  out.global = rules.globalPages && (lo & ENTRY.global) !== 0;
  return true;
}

/** Goes down to the leaf. Rights of all levels together, or -1 with the fault in `out`. */
function descend<A extends Physical>(
  rules: WalkRules,
  root: WalkRoot<A>,
  access: number,
  port: TablePort<A>,
  out: WalkResult<A>,
  sink: WalkSink<A> | undefined,
): number {
  const { format, reserved } = rules;
  const { entryBytes, present } = format;
  const { vaLo, vaHi } = out;
  let level = format.levels;
  let table: number;
  out.top = level;
  if (typeof root === "number") {
    if (format.rootInRegisters) throw new Error("a PAE walk starts from the PDPTE registers");
    table = root - (root & 0xfff);
  } else {
    const index = vaLo >>> 30;
    const lo = root[2 * index] ?? 0;
    const hi = root[2 * index + 1] ?? 0;
    out.record(level, IN_REGISTER, lo, hi, ACC.all);
    sink?.element?.(level, IN_REGISTER as A, lo, hi);
    if (!(lo & present)) return fault(rules, access, out, 0, "not-present");
    table = tableAddress(lo, hi);
    level--;
  }
  let rights: number = ACC.all;
  for (;;) {
    const at = (table + entryIndex(format, level, vaLo, vaHi) * entryBytes) as A;
    const entry = out.scratch;
    if (!port.load(at, entryBytes, entry)) {
      out.record(level, at, 0, 0, rights);
      return fault(rules, access, out, 0, "unreadable");
    }
    const { lo, hi } = entry;
    out.record(level, at, lo, hi, rights);
    sink?.element?.(level, at, lo, hi);
    if (!(lo & present)) return fault(rules, access, out, 0, "not-present");
    const masks = reservedAt(level, (lo >>> 7) & 1);
    if ((lo & (reserved[masks] ?? 0)) | (hi & (reserved[masks + 1] ?? 0)))
      return fault(rules, access, out, PFEC.reserved | PFEC.present, "reserved");
    if (format.ept && eptMisconfigured(rules.badMtXwr, lo))
      return fault(rules, access, out, PFEC.reserved | PFEC.present, "reserved");
    rights &= rightsOf(format, lo, hi);
    if (level === 1 || (lo & ENTRY.large && format.large[level])) return rights;
    table = tableAddress(lo, hi);
    level--;
  }
}

/**
 * Top-down; each entry is exchanged against the value the walk read. `changed` when one no longer
 * holds it, `unreadable` when one could no longer be reached.
 */
function setAccessedDirty<A extends Physical>(
  format: Format,
  write: boolean,
  port: TablePort<A>,
  out: WalkResult<A>,
  sink: WalkSink<A> | undefined,
): "done" | "changed" | "unreadable" {
  const desired = out.desired;
  const expected = out.scratch;
  for (let level = out.top; level >= out.level; level--) {
    const at = out.entryAt(level);
    if (at === IN_REGISTER) continue;
    const lo = out.entryLo(level);
    const missing = (format.accessed | (write && level === out.level ? format.dirty : 0)) & ~lo;
    if (missing === 0) continue;
    expected.lo = lo;
    expected.hi = desired.hi = out.entryHi(level);
    desired.lo = (lo | missing) >>> 0;
    const outcome = port.exchange?.(at, format.entryBytes, expected, desired);
    if (outcome === "changed" || outcome === "unreadable") return outcome;
    if (outcome !== "done") continue;
    out.setEntry(level, desired.lo, desired.hi);
    if (missing & format.accessed) sink?.accessed?.(level, at);
    if (missing & format.dirty) sink?.dirty?.(level, at);
  }
  return "done";
}

function fault<A extends Physical>(
  rules: WalkRules,
  access: number,
  out: WalkResult<A>,
  code: number,
  reason: FaultReason,
): -1 {
  out.kind = "fault";
  if (reason !== "permission" && reason !== "protection-key") out.access = 0;
  out.error = code | accessErrorBits(access, rules.fetchReported);
  out.reason = reason;
  return -1;
}

function withoutPaging<A extends Physical>(out: WalkResult<A>): WalkResult<A> {
  out.kind = "translation";
  out.top = 0;
  out.level = 1;
  out.frame = (out.vaLo >>> 12) as FrameOf<A>;
  out.access = ACC.all;
  out.dirty = true;
  out.global = false;
  out.pkey = 0;
  return out;
}
