import {
  type CpuState,
  type Gpa,
  type Gva,
  gpa,
  gpaOf,
  gva,
  type PagingFeatures,
  type PassivePort,
  type Physical,
  pageOffsetOfGva,
  pagingMode,
  S,
  topTable,
  WalkResult,
  type WalkRoot,
  type WalkRules,
  walk,
  walkRules,
} from "../x86";
import type { PageSource } from "./byte-space";
import type { ByteSpace, Machine } from "./machine";

/** Tables in a space of bytes as a debugger reads them: a walk through this changes nothing. */
export function passiveTables<A extends Physical>(space: ByteSpace<A>): PassivePort<A> {
  return {
    load: (at, bytes, entry) => {
      const read = space.read(at, bytes);
      if (read.length < bytes) return false;
      const view = new DataView(read.buffer, read.byteOffset, read.byteLength);
      entry.lo = view.getUint32(0, true);
      entry.hi = bytes === 8 ? view.getUint32(4, true) : 0;
      return true;
    },
  };
}

/** The top of the tables in force: CR3's frame, or the PDPTE registers under PAE paging. */
export function guestRoot(state: CpuState): WalkRoot<Gpa> {
  const mode = pagingMode(state);
  if (mode !== "PAE") return gpa(topTable(mode, state.cr3));
  return Uint32Array.from({ length: 8 }, (_, i) => state.u32(S.pdpte + 4 * i));
}

/**
 * Translation of `va` by the guest's own tables as a supervisor data read, without side effects.
 * `root` replaces CR3's table: another address space in the same paging mode.
 */
export function guestWalk(machine: Machine, vcpu: number, va: bigint, root?: Gpa): WalkResult<Gpa> {
  const view = machine.vcpus[vcpu];
  if (!view) throw new Error(`there is no vcpu ${vcpu}`);
  const { state } = view;
  const port = passiveTables(machine.gpa);
  return walk(
    lenientRules(state, machine.pagingFeatures),
    root ?? guestRoot(state),
    va,
    0,
    port,
    new WalkResult<Gpa>(),
  );
}

/** A debugger reads what is mapped, whoever may: no SMAP, no protection keys. */
function lenientRules({ cr0, cr4, efer }: CpuState, features: PagingFeatures): WalkRules {
  const smap = 1n << 21n;
  const pke = 1n << 22n;
  return walkRules({ cr0, cr4: cr4 & ~(smap | pke), efer }, features);
}

/** Pages of a linear address space: `root` or the one of CR3, found by walking. */
export function linearPages(
  machine: Machine & { readonly platform: { readonly gpa: PageSource<Gpa> } },
  vcpu: number,
  root: Gpa | undefined,
): PageSource<Gva> {
  const { gpa: physical } = machine.platform;
  const translate = (va: Gva): Gpa | undefined => {
    const result = guestWalk(machine, vcpu, va, root);
    return result.kind === "translation" ? gpaOf(result.frame, pageOffsetOfGva(va)) : undefined;
  };
  return {
    page: (at) => {
      const target = translate(at);
      return target === undefined ? undefined : physical.page(target);
    },
    store: (at, bytes) => {
      const target = translate(at);
      return target !== undefined && physical.store(target, bytes);
    },
    nextMapped: (at) => {
      for (let va: bigint = at; va <= LAST_GVA; ) {
        const result = guestWalk(machine, vcpu, va, root);
        if (result.kind === "translation") {
          if (physical.page(gpaOf(result.frame, 0))) return gva(va);
          va = (va | 0xfffn) + 1n;
          continue;
        }
        // Nothing below the entry that ended the walk is mapped: go on at the entry after it.
        const span = spanOf(machine, vcpu, result.level);
        va = (va / span + 1n) * span;
        // Between the halves of the canonical space there is nothing.
        if (va === LOWER_HALF_END) va = UPPER_HALF;
      }
      return undefined;
    },
  };
}

const LAST_GVA = 0xffff_ffff_ffff_ffffn;
const LOWER_HALF_END = 0x0000_8000_0000_0000n;
const UPPER_HALF = 0xffff_8000_0000_0000n;

/** Bytes that one entry of this level covers in the paging mode in force. */
function spanOf(machine: Machine, vcpu: number, level: number): bigint {
  const state = machine.vcpus[vcpu]?.state;
  const perTable = state && pagingMode(state) === "32-bit" ? 10n : 9n;
  return 1n << (12n + perTable * BigInt(level - 1));
}
