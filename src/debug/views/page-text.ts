import { accessText, describeRole, roleAccess, roleLevel, type ShadowPage } from "../../kvm";
import { counted, hex } from "./view-node";

/** Facts of a shadow page worth a place in its row. */
export function pageDescription(page: ShadowPage): string {
  const what = page.direct ? `direct from gfn ${hex(page.gfn)}` : `gfn ${hex(page.gfn)}`;
  const marks = [
    `level ${page.level}`,
    what,
    accessText(roleAccess(page.role)),
    ...(page.unsync ? ["unsync"] : []),
    ...(page.unsyncChildren > 0 ? [`unsync_children ${page.unsyncChildren}`] : []),
    ...(page.invalid ? ["invalid"] : []),
  ];
  return marks.join(" · ");
}

/** Every field of the page, the role spelt out, as Markdown. */
export function pageTooltip(page: ShadowPage): string {
  const role = describeRole(page.role)
    .filter(({ field, value }) => value !== 0 || field.id === "level")
    .map(({ field, value }) => `- \`${field.id} = ${value}\` — ${field.about}`);
  return [
    `**${page.tdpMmuPage ? "TDP MMU page" : "Shadow page"}** at \`hpa:${hex(page.spt)}\``,
    page.direct
      ? `Direct: maps a linear range from gfn \`${hex(page.gfn)}\`.`
      : `Shadows the guest table in gfn \`${hex(page.gfn)}\`.`,
    `Role \`${hex(page.role)}\`:\n${role.join("\n")}`,
    fieldsOf(page)
      .map(([name, value]) => `- \`${name} = ${value}\``)
      .join("\n"),
  ].join("\n\n");
}

/**
 * Fields that mean something in this page: those of the TDP MMU shadow no guest table, and below a root
 * have neither count nor generation.
 */
function fieldsOf(page: ShadowPage): readonly (readonly [string, number | boolean])[] {
  const generation = ["mmu_valid_gen", page.mmuValidGen] as const;
  if (page.tdpMmuPage)
    return page.parentPtes === 0
      ? [["tdp_mmu_root_count", page.rootCount], generation]
      : [["tdp_mmu_page", true]];
  return [
    ["unsync", page.unsync],
    ["unsync_children", page.unsyncChildren],
    ["root_count", page.rootCount],
    generation,
    ["write_flooding_count", page.writeFloodingCount],
    // Only a 32-bit host counts.
    ...(page.clearSpteCount > 0 ? [["clear_spte_count", page.clearSpteCount] as const] : []),
  ];
}

export function spokenPage(page: ShadowPage): string {
  const state = page.unsync
    ? "unsync"
    : page.unsyncChildren > 0
      ? `${counted(page.unsyncChildren, "entry leads", "entries lead")} to unsync pages`
      : "in sync";
  return `shadow page, level ${roleLevel(page.role)}, guest frame ${page.gfn.toString(16)} hex, ${page.direct ? "direct" : "shadowing a guest table"}, ${state}`;
}
