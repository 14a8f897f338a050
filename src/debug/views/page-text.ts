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
    `**Shadow page** at \`hpa:${hex(page.spt)}\``,
    page.direct
      ? `Direct: maps a linear range from gfn \`${hex(page.gfn)}\`.`
      : `Shadows the guest table in gfn \`${hex(page.gfn)}\`.`,
    `Role \`${hex(page.role)}\`:\n${role.join("\n")}`,
    [
      `- \`unsync = ${page.unsync}\``,
      `- \`unsync_children = ${page.unsyncChildren}\``,
      `- \`root_count = ${page.rootCount}\``,
      `- \`mmu_valid_gen = ${page.mmuValidGen}\``,
      `- \`write_flooding_count = ${page.writeFloodingCount}\``,
    ].join("\n"),
  ].join("\n\n");
}

export function spokenPage(page: ShadowPage): string {
  const state = page.unsync
    ? "unsync"
    : page.unsyncChildren > 0
      ? `${counted(page.unsyncChildren, "entry leads", "entries lead")} to unsync pages`
      : "in sync";
  return `shadow page, level ${roleLevel(page.role)}, guest frame ${page.gfn.toString(16)} hex, ${page.direct ? "direct" : "shadowing a guest table"}, ${state}`;
}
