import {
  accessText,
  describeRole,
  pteListCount,
  ROLE,
  roleAccess,
  roleLevel,
  roleQuadrant,
  type ShadowPage,
  type Vm,
} from "../../kvm";
import { counted, hex } from "./view-node";

/** What the pages of a VM's trees are called. */
const TREES = { ept: "EPT", npt: "NPT" } as const;

/** The second dimension as it is written, or nothing under shadow paging. */
export const treeName = ({ tdp }: Vm): "EPT" | "NPT" | undefined => tdp && TREES[tdp];

/** Facts of a shadow page worth a place in its row. */
export const pageDescription = (page: ShadowPage): string =>
  [
    placeDescription(page),
    ...(page.unsync ? ["unsync"] : []),
    ...(page.unsyncChildren > 0 ? [`unsync_children ${page.unsyncChildren}`] : []),
    ...(page.nxHugePageDisallowed ? ["nx_huge_page_disallowed"] : []),
    ...(page.invalid ? ["invalid"] : []),
  ].join(" · ");

/** The same without what changes while the page lives. */
export function placeDescription(page: ShadowPage): string {
  const what = page.direct
    ? `direct from gfn ${hex(page.gfn)}`
    : `gfn ${hex(page.gfn)}${partText(page)}`;
  const marks = [`level ${page.level}`, what, accessText(roleAccess(page.role))];
  return marks.join(" · ");
}

/** Which part of a 32-bit table the page shadows, as its gptes are half as large as sptes; else nothing. */
const partText = ({ role, level }: ShadowPage): string =>
  role & ROLE.has4ByteGpte ? `, quadrant ${roleQuadrant(role)} of ${level === 1 ? 2 : 4}` : "";

/** Every field of the page, the role spelt out in the words of the era, as Markdown. */
export function pageTooltip(vm: Vm, page: ShadowPage): string {
  const role = describeRole(page.role, vm.profile.era)
    .filter(({ field, value }) => value !== 0 || field.id === "level")
    .map(({ field, value }) => `- \`${field.id} = ${value}\` — ${field.about}`);
  return [
    `**${kindOf(vm, page)}** at \`hpa:${hex(page.spt)}\``,
    page.direct
      ? `Direct: maps a linear range from gfn \`${hex(page.gfn)}\`${page.level > 1 ? " by the tables below it" : ""}.`
      : `Shadows the guest table in gfn \`${hex(page.gfn)}\`${partText(page)}.`,
    `Role \`${hex(page.role)}\`:\n${role.join("\n")}`,
    fieldsOf(vm, page)
      .map(([name, value, about]) => `- \`${name} = ${value}\`${about ? ` — ${about}` : ""}`)
      .join("\n"),
  ].join("\n\n");
}

function kindOf(vm: Vm, page: ShadowPage): string {
  const tree = treeName(vm);
  if (page.tdpMmuPage) return `TDP MMU page${tree ? ` (${tree})` : ""}`;
  return tree && page.direct ? `Direct shadow page (${tree})` : "Shadow page";
}

type Field = readonly [name: string, value: number | boolean | string, about?: string];

/**
 * Fields that mean something in this page, by the names of the era: pages of the TDP MMU shadow no guest
 * table and have no generation, and below a root no count. A direct page is never unsync.
 */
function fieldsOf(vm: Vm, page: ShadowPage): readonly Field[] {
  const disallowed: readonly Field[] = page.nxHugePageDisallowed
    ? [
        [
          "nx_huge_page_disallowed",
          true,
          "a fetch came here, so no huge leaf may stand in its place",
        ],
      ]
    : [];
  if (page.tdpMmuPage) {
    const root: Field = [
      "tdp_mmu_root_count",
      page.rootCount,
      "the MMU itself, and each root of a vCPU that is this page",
    ];
    const below: Field = ["tdp_mmu_page", true];
    return [page.parentPtes === 0 ? root : below, ...disallowed];
  }
  const { profile } = vm;
  const parents = pteListCount(page.parentPtes);
  const mayDiffer: readonly Field[] = [
    ["unsync", page.unsync],
    ["unsync_children", page.unsyncChildren],
  ];
  return [
    ...(page.direct ? [] : mayDiffer),
    ["root_count", page.rootCount, "roots of vCPUs, in use or kept, that are this page"],
    ...(profile.era === "2010"
      ? ([["multimapped", parents > 1, "more than one entry points at it"]] satisfies Field[])
      : []),
    ["parent_ptes", counted(parents, "entry", "entries")],
    ...(profile.slotBitmap
      ? ([["slot_bitmap", slotsOf(page), "slots that its entries map, or did"]] satisfies Field[])
      : []),
    ...(profile.invalidation === "generation"
      ? ([["mmu_valid_gen", page.mmuValidGen, generationText(vm, page)]] satisfies Field[])
      : []),
    ...(profile.flooding === "page" && !page.direct
      ? ([
          [
            "write_flooding_count",
            page.writeFloodingCount,
            "emulated writes since a fault last used it; at 3 it is zapped",
          ],
        ] satisfies Field[])
      : []),
    // Only a 32-bit host counts.
    ...(page.clearSpteCount > 0
      ? ([["clear_spte_count", page.clearSpteCount]] satisfies Field[])
      : []),
    ...disallowed,
  ];
}

const generationText = ({ mmuValidGen }: Vm, page: ShadowPage): string =>
  page.mmuValidGen === mmuValidGen ? "current" : `obsolete: the MMU is at ${mmuValidGen}`;

/** The slots whose bit is set: `0x5 (slots 0, 2)`. */
function slotsOf({ slotBitmap }: ShadowPage): string {
  const word = slotBitmap >>> 0;
  const slots = Array.from({ length: 32 }, (_, id) => id).filter((id) => (word >>> id) & 1);
  if (slots.length === 0) return hex(word);
  return `${hex(word)} (${slots.length === 1 ? "slot" : "slots"} ${slots.join(", ")})`;
}

/** For a screen reader. */
export function spokenPage(vm: Vm, page: ShadowPage): string {
  const tree = treeName(vm);
  const marks = [
    ...(page.nxHugePageDisallowed ? ["huge page disallowed"] : []),
    ...(page.invalid ? ["invalid"] : []),
  ];
  const level = `level ${roleLevel(page.role)}`;
  const frame = `guest frame ${page.gfn.toString(16)} hex`;
  if (tree && page.direct) return [`${tree} page`, level, frame, ...marks].join(", ");
  const state = page.unsync
    ? "unsync"
    : page.unsyncChildren > 0
      ? `${counted(page.unsyncChildren, "entry leads", "entries lead")} to unsync pages`
      : "in sync";
  const what = page.direct ? ["direct"] : [`shadowing a guest table${partText(page)}`, state];
  return ["shadow page", level, frame, ...what, ...marks].join(", ");
}
