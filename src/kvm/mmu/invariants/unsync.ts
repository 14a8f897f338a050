import { ACC } from "../../../x86";
import type { MemorySlot } from "../../memslots";
import { GPTE, gpteAccess, gpteFormat, gpteRights } from "../guest-entry";
import { leavesOf, slotOf } from "../rmap";
import { ROLE, roleAccess, roleQuadrant } from "../role";
import { rootPages } from "../root";
import type { ShadowPage } from "../shadow-page";
import { type Sptep, WRITABLE } from "../spte";
import type { MmuState } from "../state";
import type { EntryView } from "./entry-view";
import {
  allPages,
  type EntryInvariant,
  type EntryTimeInvariant,
  hex,
  type PageInvariant,
  type VmInvariant,
} from "./invariant";

const counted = (page: ShadowPage): boolean => page.hasGptes && !page.invalid;
const leads = (page: ShadowPage): boolean => page.unsync || page.unsyncChildren > 0;

/** Class U, entry by entry. */
export const UNSYNC_ENTRY_INVARIANTS: readonly EntryInvariant[] = [
  {
    id: "INV-U-02",
    rule: "an entry that leads to an unsync page is marked",
    entry(view) {
      if (!view.present || view.leaf) return undefined;
      const { child } = view;
      return child && leads(child) && !view.page.hasUnsyncBit(view.index)
        ? `${view} leads to an unsync page and is not marked`
        : undefined;
    },
  },
  {
    id: "INV-U-07",
    rule: "an entry of a synced page says what its gpte says now",
    entry(view) {
      if (!view.present || !view.synced) return undefined;
      const { gpte } = view;
      if (!gpte) return undefined;
      if (!(gpte.lo & gpteFormat(view.page).present))
        return `${view} stands for a gpte that is not present`;
      return view.leaf ? leafDiffers(view) : pointerDiffers(view);
    },
  },
];

/** Without D a leaf is built read-only; D may have been set since through another page. */
function leafDiffers(view: EntryView): string | undefined {
  const gpte = view.gpte!;
  const { page } = view;
  if (page.level > 1) {
    const right = gpte.lo & GPTE.large && view.gpteLargeFrame === view.gfn;
    return right ? undefined : `${view} is large, its gpte is another`;
  }
  const built = page.accessAt(view.index);
  const now = gpteAccess(gpteFormat(page), page, gpte);
  const kernel = (page.role & ROLE.cr0Wp) === 0 && (built & (ACC.write | ACC.user)) === ACC.write;
  const missing = now & ~built & ~ACC.write;
  // D cannot be set in a table that lies in a read-only slot, and a write is let through without.
  const noDirty = slotOf(view.state, page, page.gfn)?.readonly && (gpte.lo & GPTE.writable) !== 0;
  const extra = built & ~now & ~(kernel || noDirty ? ACC.write : 0);
  if (extra || (missing && !kernel)) return `${view} grants ${built}, its gpte ${now}`;
  return undefined;
}

function pointerDiffers(view: EntryView): string | undefined {
  const gpte = view.gpte!;
  const { child, page } = view;
  if (!child) return undefined;
  const frame = view.gpteFrame;
  if (child.direct) {
    const right = gpte.lo & GPTE.large && view.gpteLargeFrame === child.gfn;
    return right ? undefined : `${view} points at a direct page, its gpte at a table`;
  }
  if (child.gfn !== frame)
    return `${view} points at the shadow of gfn ${hex(child.gfn)}, its gpte at gfn ${hex(frame)}`;
  if (child.role & ROLE.has4ByteGpte && roleQuadrant(child.role) !== (view.index & 1))
    return `${view} points at quadrant ${roleQuadrant(child.role)} of its table`;
  const access = roleAccess(page.role) & gpteRights(page, gpte);
  return roleAccess(child.role) === access
    ? undefined
    : `${view} points at a page of access ${roleAccess(child.role)}, the gptes grant ${access}`;
}

/** Class U, page by page. */
export const UNSYNC_PAGE_INVARIANTS: readonly PageInvariant[] = [
  {
    id: "INV-U-01",
    rule: "only a valid level-1 page with gptes is unsync",
    page: (_state, page) =>
      page.unsync && (page.level !== 1 || !page.hasGptes || page.invalid)
        ? `sp ${page.serial} is unsync at level ${page.level}`
        : undefined,
  },
  {
    id: "INV-U-03",
    rule: "unsync_children counts the marked entries",
    page(_state, page) {
      let marked = 0;
      for (let i = page.nextUnsyncBit(0); i >= 0; i = page.nextUnsyncBit(i + 1)) marked++;
      return marked === page.unsyncChildren
        ? undefined
        : `sp ${page.serial} counts ${page.unsyncChildren} unsync children and marks ${marked}`;
    },
  },
  {
    id: "INV-U-05",
    rule: "the frame of a synced table is writable nowhere",
    page: (state, page) =>
      !counted(page) || page.unsync || state.isObsolete(page)
        ? undefined
        : writableSomewhere(state, page),
  },
  {
    id: "INV-U-06",
    rule: "the frame of an upper-level table is writable nowhere",
    page: (state, page) =>
      counted(page) && page.level > 1 ? writableSomewhere(state, page) : undefined,
  },
];

/** The hardware may write through it, or the fast path may let it. */
const isWritableAt = (state: MmuState, sptep: Sptep): boolean => {
  const lo = state.words[2 * sptep]!;
  return (lo & WRITABLE) !== 0 || state.format.isMmuWritable(lo, state.words[2 * sptep + 1]!);
};

function writableSomewhere(state: MmuState, table: ShadowPage): string | undefined {
  const slot = slotOf(state, table, table.gfn);
  if (!slot) return undefined;
  const sptep = leavesOf(slot, table.gfn).find((one) => isWritableAt(state, one));
  return sptep === undefined
    ? undefined
    : `the table at gfn ${hex(table.gfn)}, shadowed by sp ${table.serial}, is writable through the spte at ${hex(state.hpaOf(sptep))}`;
}

/** The same of TLBs: no vCPU may write to such a frame without an exit. */
function writableInTlb(state: MmuState): string[] {
  const writable = new Map<number, { readonly vcpu: number; readonly va: bigint }>();
  for (const { id: vcpu, cpu } of state.contexts)
    for (const { va, offset, writable: isWritable } of cpu.tlbEntries?.() ?? [])
      if (isWritable) writable.set(offset, { vcpu, va });
  if (writable.size === 0) return [];
  return allPages(state).flatMap((table) => {
    if (!counted(table) || table.unsync || (table.level === 1 && state.isObsolete(table)))
      return [];
    const slot = slotOf(state, table, table.gfn);
    const frame = slot && state.hostProcess.translate(slot.hvaOf(table.gfn));
    const by = frame === undefined ? undefined : writable.get(state.memory.offsetOf(frame));
    return by
      ? [
          `the table at gfn ${hex(table.gfn)} is writable through the TLB of vCPU ${by.vcpu} at ${hex(by.va)}`,
        ]
      : [];
  });
}

/** Class U, over the VM. */
export const UNSYNC_INVARIANTS: readonly VmInvariant[] = [
  {
    id: "INV-U-05",
    rule: "no TLB holds a writable translation of a synced table",
    vm: writableInTlb,
  },
  {
    id: "INV-U-04",
    rule: "mmu_unsync counts the unsync pages",
    vm(state) {
      const unsync = allPages(state).filter((page) => page.unsync).length;
      return unsync === state.stats.mmu_unsync
        ? []
        : [`mmu_unsync is ${state.stats.mmu_unsync}, ${unsync} pages are unsync`];
    },
  },
  {
    id: "INV-U-10",
    rule: "indirect_shadow_pages counts the pages with gptes",
    vm(state) {
      const pages = allPages(state).filter(counted).length;
      return pages === state.indirectShadowPages
        ? []
        : [`indirect_shadow_pages is ${state.indirectShadowPages}, there are ${pages}`];
    },
  },
];

/** Class U, over all frames of guest memory. */
export const TRACK_COUNT_INVARIANT: VmInvariant = {
  id: "INV-U-09",
  rule: "a track count counts the upper-level tables in the frame",
  vm(state) {
    const wanted = new Map<MemorySlot, Map<number, number>>();
    for (const page of allPages(state)) {
      const slot = counted(page) && page.level > 1 ? slotOf(state, page, page.gfn) : undefined;
      if (!slot) continue;
      const tables = wanted.get(slot) ?? new Map<number, number>();
      wanted.set(slot, tables);
      tables.set(page.gfn, (tables.get(page.gfn) ?? 0) + 1);
    }
    const bad: string[] = [];
    for (const slot of state.slotSets.flatMap((set) => set.slots)) {
      const tables = wanted.get(slot) ?? new Map<number, number>();
      const { writeTrack } = slot.arch;
      const check = (i: number): void => {
        const right = tables.get(slot.baseGfn + i) ?? 0;
        if (writeTrack[i] !== right)
          bad.push(
            `gfn ${hex(slot.baseGfn + i)} is tracked ${writeTrack[i]} times, for ${right} tables`,
          );
      };
      for (const frame of tables.keys())
        if (writeTrack[frame - slot.baseGfn] === 0) check(frame - slot.baseGfn);
      for (let i = 0; i < writeTrack.length; i++) if (writeTrack[i] !== 0) check(i);
    }
    return bad;
  },
};

/** Holds right after a vCPU has served MMU_SYNC; later the guest may write to tables again. */
export const SYNCED_ROOT_INVARIANT: EntryTimeInvariant = {
  id: "INV-U-08",
  rule: "after MMU_SYNC no unsync page is reachable from the root",
  context(_state, context) {
    const root = rootPages(context.root).find(leads);
    return root
      ? `the root of vCPU ${context.id}, sp ${root.serial}, still leads to an unsync page`
      : undefined;
  },
};
