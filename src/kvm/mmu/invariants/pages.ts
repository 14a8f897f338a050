import { pfnOf } from "../../../x86";
import type { KvmMmu } from "../kvm-mmu";
import { ROLE, roleQuadrant } from "../role";
import { PAE_ROOTS, type Root, rootPages } from "../root";
import { wordBits } from "../roots";
import type { ShadowPage } from "../shadow-page";
import { pfnHi, pfnLo } from "../spte";
import type { MmuState } from "../state";
import {
  allPages,
  type EntryInvariant,
  type EntryTimeInvariant,
  type PageInvariant,
  shadowPages,
  type VmInvariant,
} from "./invariant";

/** Pages a fault may take beyond the limit. */
const SLACK = 4;

/** Class P, page by page. */
export const PAGE_INVARIANTS: readonly PageInvariant[] = [
  {
    id: "INV-P-03",
    rule: "an invalid page is reachable from nothing, and is kept only by a root slot",
    page(_state, page) {
      if (!page.invalid) return undefined;
      if (page.parentPtes !== 0) return `sp ${page.serial} is invalid and has parents`;
      return page.rootCount > 0 ? undefined : `sp ${page.serial} is invalid, unused and not freed`;
    },
  },
  {
    id: "INV-P-04",
    rule: "no two valid pages have the same gfn and role",
    page(state, page) {
      if (state.isObsolete(page) || page.tdpMmuPage) return undefined;
      const same = state.hash
        .matching(page.gfn, page.role)
        .filter((other) => !state.isObsolete(other));
      return same.length === 1
        ? undefined
        : `gfn 0x${page.gfn.toString(16)} has ${same.length} pages of role 0x${page.role.toString(16)}`;
    },
  },
  {
    id: "INV-P-09",
    rule: "a direct page has no quadrant, and only 4-byte gptes give one: of 2 at level 1, of 4 at level 2",
    page(_state, page) {
      const { role, level } = page;
      const short = (role & ROLE.has4ByteGpte) !== 0;
      const direct = role & ROLE.direct && role & (ROLE.has4ByteGpte | ROLE.quadrant);
      const quadrant = roleQuadrant(role) >= (short ? 2 * level : 1);
      return direct || quadrant || (short && level > 2)
        ? `sp ${page.serial} has the impossible role 0x${role.toString(16)}`
        : undefined;
    },
  },
];

export const PAGE_ENTRY_INVARIANT: EntryInvariant = {
  id: "INV-P-08",
  rule: "levels fall strictly along every pointer",
  entry(view) {
    if (!view.present || view.leaf) return undefined;
    const level = view.child?.level ?? 0;
    return level < view.page.level ? undefined : `${view} points up, at level ${level}`;
  },
};

/** Class P, over the VM. */
export const PAGES_INVARIANTS: readonly VmInvariant[] = [
  {
    id: "INV-P-01",
    rule: "root_count counts the root slots that hold the page",
    vm(state) {
      const held = new Map<ShadowPage, number>();
      for (const context of state.contexts)
        for (const root of context.mmus.flatMap((mmu) => mmu.roots))
          for (const page of rootPages(root)) held.set(page, (held.get(page) ?? 0) + 1);
      const known = new Set(allPages(state));
      const lost = [...held.keys()].filter((page) => !known.has(page));
      return [
        ...lost.map((page) => `a root slot holds sp ${page.serial}, which was freed`),
        ...[...known]
          .filter((page) => !page.tdpMmuPage && page.rootCount !== (held.get(page) ?? 0))
          .map(
            (page) =>
              `sp ${page.serial} has root_count ${page.rootCount}, ${held.get(page) ?? 0} slots hold it`,
          ),
      ];
    },
  },
  {
    id: "INV-P-05",
    rule: "n_used counts the live pages, and stays near the limit",
    vm(state) {
      const pages = shadowPages(state);
      const roots = pages.filter((page) => page.rootCount > 0).length;
      const bad: string[] = [];
      if (pages.length !== state.usedPages)
        bad.push(`n_used is ${state.usedPages}, there are ${pages.length} pages`);
      if (state.usedPages > Math.max(state.maxPages, roots) + SLACK)
        bad.push(`${state.usedPages} pages are used, ${state.maxPages} allowed`);
      return bad;
    },
  },
  {
    id: "INV-P-06",
    rule: "obsolete pages lie behind all current ones in the active list",
    vm(state) {
      const pages = [...state.active];
      const first = pages.findIndex((page) => state.isObsolete(page));
      const after =
        first < 0 ? undefined : pages.slice(first).find((page) => !state.isObsolete(page));
      return after ? [`sp ${after.serial} is current, behind an obsolete page`] : [];
    },
  },
  {
    id: "INV-P-10",
    rule: "the words of a PAE root are P and the page's address",
    vm: (state) =>
      allMmus(state).flatMap(({ id, mmu }) => {
        const { root, paeRoot } = mmu;
        const bad: string[] = [];
        if (paeRoot === undefined) return bad;
        for (let i = 0; i < PAE_ROOTS; i++) {
          const page = root.kind === "pae" ? root.pages[i] : undefined;
          const frame = page ? pfnOf(page.spt) : 0;
          const lo = page ? pfnLo(frame) | wordBits(mmu) : 0;
          const word = 2 * (paeRoot + i);
          if ((state.words[word]! | 0) !== (lo | 0) || state.words[word + 1] !== pfnHi(frame))
            bad.push(`pae_root[${i}] of vCPU ${id} is not what its root slot says`);
        }
        return bad;
      }),
  },
];

const allMmus = (state: MmuState): readonly { id: number; mmu: KvmMmu }[] =>
  state.contexts.flatMap(({ id, mmus }) => mmus.map((mmu) => ({ id, mmu })));

/** A page behind the wrong word of a PAE root: not of level 2, or another quarter of a 32-bit directory. */
function misplaced(root: Root): ShadowPage | undefined {
  if (root.kind !== "pae") return undefined;
  return root.pages.find((page, i) => {
    if (!page) return false;
    const quadrant = page.role & ROLE.has4ByteGpte ? i : 0;
    return page.level !== 2 || roleQuadrant(page.role) !== quadrant;
  });
}

export const ROOT_INVARIANT: EntryTimeInvariant = {
  id: "INV-P-07",
  rule: "the vCPU enters with a current root of its present role, each page of it in its place",
  context(state, context) {
    const { root, mode } = context;
    // A vCPU that was shut down enters no more.
    if (context.failure || context.userExit === "SHUTDOWN") return undefined;
    if (root.kind === "none") return `vCPU ${context.id} enters without a root`;
    const ignored = root.kind === "pae" ? ROLE.level | ROLE.quadrant : 0;
    const wrong =
      rootPages(root).find(
        (page) =>
          state.isObsolete(page) ||
          (page.role ^ mode.rootRole) & ~ignored ||
          (page.hasGptes && page.gpteExt !== mode.gpteExt),
      ) ?? misplaced(root);
    return wrong
      ? `vCPU ${context.id} enters with sp ${wrong.serial} of role 0x${wrong.role.toString(16)}, which it may not use`
      : undefined;
  },
};
