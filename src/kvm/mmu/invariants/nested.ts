import {
  ACC,
  ACCESS,
  type Gpa,
  type PassivePort,
  pagesPerLevel,
  pdpteRegisters,
  WalkResult,
  type WalkRoot,
  walkPhysical,
  withoutRights,
} from "../../../x86";
import { guestTables } from "../../nested/walk-root";
import type { MmuContext } from "../context";
import { slotOf } from "../rmap";
import { ROLE } from "../role";
import { type Root, rootPages } from "../root";
import { ENTRIES, type ShadowPage } from "../shadow-page";
import { isLeaf, pfnHi, pfnLo, WRITABLE } from "../spte";
import type { MmuState } from "../state";
import { childOf } from "../unsync";
import { EntryView } from "./entry-view";
import { type EntryInvariant, type EntryTimeInvariant, hex, type VmInvariant } from "./invariant";

const PRESENT = 1;

const isForL2 = (page: ShadowPage): boolean => (page.role & ROLE.guestMode) !== 0;

/** Class X, entry by entry. */
export const NESTED_ENTRY_INVARIANT: EntryInvariant = {
  id: "INV-X-01",
  rule: "pages made for a nested guest are below such pages only, and L1's below L1's",
  entry(view) {
    if (!view.present || view.leaf) return undefined;
    const { child, page } = view;
    return child && isForL2(child) !== isForL2(page)
      ? `${view} leads from ${isForL2(page) ? "L2 to L1" : "L1 to L2"}`
      : undefined;
  },
};

/** Class X, over the VM. */
export const NESTED_INVARIANTS: readonly VmInvariant[] = [
  {
    id: "INV-X-01",
    rule: "guest_mmu has roots for nested guests only",
    vm: (state) =>
      state.contexts.flatMap(({ id, guestMmu }) =>
        (guestMmu?.roots ?? [])
          .flatMap(rootPages)
          .filter((page) => !isForL2(page))
          .map((page) => `guest_mmu of vCPU ${id} holds sp ${page.serial} of L1`),
      ),
  },
  {
    id: "INV-X-02",
    rule: "L2 reaches what L1's tables and the slot let it reach, and nothing else",
    vm: (state) => state.contexts.flatMap((context) => beyondL1(state, context)),
  },
];

/** At entry: which MMU is in use. */
export const NESTED_MODE_INVARIANT: EntryTimeInvariant = {
  id: "INV-X-03",
  rule: "mmu and walk_mmu are both root_mmu, or guest_mmu and nested_mmu while L2 has a second dimension",
  context(_state, context) {
    const { id, mmu, rootMmu, guestMmu, guestMode, nestedMode, mode } = context;
    const nested = guestMode?.nestedPaging !== undefined;
    if (mmu !== (nested ? guestMmu : rootMmu)) return `vCPU ${id} uses the wrong MMU`;
    if ((nestedMode !== undefined) !== nested) return `vCPU ${id} walks by the wrong MMU`;
    const forL2 = (mode.rootRole & ROLE.guestMode) !== 0;
    return forL2 === (guestMode !== undefined)
      ? undefined
      : `vCPU ${id} runs ${guestMode ? "L2" : "L1"} by role ${hex(mode.rootRole)}`;
  },
};

/** Leaves of the vCPU's root that L1's tables, walked here once more, do not bear out. */
function beyondL1(state: MmuState, context: MmuContext): string[] {
  if (!context.isNested) return [];
  const found: string[] = [];
  const judge = new Judge(state, context);
  for (const { page, first } of topsOf(context.root)) visit(state, page, first, judge, found);
  return found;
}

/** Pages a walk may begin in, and the first frame that each translates. */
function topsOf(root: Root): readonly { page: ShadowPage; first: number }[] {
  if (root.kind === "page") return [{ page: root.page, first: 0 }];
  if (root.kind !== "pae") return [];
  return root.pages.flatMap((page, i) => (page ? [{ page, first: i * pagesPerLevel(3) }] : []));
}

function visit(
  state: MmuState,
  page: ShadowPage,
  first: number,
  judge: Judge,
  found: string[],
): void {
  // What is out of date is allowed to differ until the next flush.
  if (page.unsync || state.isObsolete(page)) return;
  const { words, format } = state;
  for (let index = 0; index < ENTRIES; index++) {
    const lo = words[2 * (page.base + index)]!;
    const hi = words[2 * (page.base + index) + 1]!;
    if (!format.isPresent(lo, hi)) continue;
    const frame = first + index * pagesPerLevel(page.level);
    if (!isLeaf(lo, page.level)) visit(state, childOf(state, lo, hi), frame, judge, found);
    else {
      const wrong = judge.wrongAt(page, index, frame);
      if (wrong) found.push(wrong);
    }
  }
}

/** Walks L1's tables as they are, from where the vCPU's root begins. */
class Judge {
  private readonly view: EntryView;
  private readonly walk = new WalkResult<Gpa>();
  private readonly port: PassivePort<Gpa>;

  constructor(
    private readonly state: MmuState,
    private readonly context: MmuContext,
  ) {
    this.view = new EntryView(state);
    this.port = { load: (at, bytes, entry) => state.guest.peekEntry(at, bytes, entry) };
  }

  /** L1's PDPTEs are in memory that nobody watches: what counts is what the root was built from. */
  private tables(): WalkRoot<Gpa> {
    const { context, port } = this;
    const { root } = context;
    if (root.kind !== "pae" || !context.mode.guestRules.format.rootInRegisters)
      return guestTables(context, port);
    const words = pdpteRegisters();
    root.pages.forEach((page, i) => {
      if (page) words[2 * i] = pfnLo(page.gfn) | PRESENT;
      if (page) words[2 * i + 1] = pfnHi(page.gfn);
    });
    return words;
  }

  wrongAt(page: ShadowPage, index: number, frame: number): string | undefined {
    const { state, context, view, walk, port } = this;
    view.moveTo(page, index);
    const rules = withoutRights(context.mode.guestRules);
    walkPhysical(rules, this.tables(), frame * 4096, ACCESS.user | ACCESS.write, port, walk);
    // A table that the host has swapped out says nothing.
    if (walk.reason === "unreadable") return undefined;
    const at = `${view} at ngpa ${hex(frame * 4096)}`;
    if (walk.kind === "fault") return `${at} is not mapped by L1`;
    if (walk.frame !== view.gfn) return `${at} is gfn ${hex(walk.frame)} to L1`;
    const beyond = view.grants & ~walk.access;
    if (beyond) return `${at} grants ${beyond} beyond L1's tables`;
    const readonly = slotOf(state, page, view.gfn)?.readonly;
    return readonly && view.lo & WRITABLE && view.grants & ACC.write
      ? `${at} may be written in a read-only slot`
      : undefined;
  }
}
