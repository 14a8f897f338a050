import { sptePfn } from "../../kvm";
import {
  differences,
  entryTooltip,
  gpteFlagText,
  type ShadowEntry,
  spanBits,
  spokenEntry,
  spteFlagText,
  spteWord,
} from "./shadow-entry";
import { counted, hex, type ViewNode } from "./view-node";

/** A row for one spte that maps a page: gva, gpte, spte, both sets of flags, and whether they differ. */
export function leafNode(id: string, entry: ShadowEntry, label = hex(entry.gva)): ViewNode {
  const { page, index } = entry;
  const differ = differences(entry).length > 0;
  const address = page.spt + 8 * index;
  return {
    id,
    label,
    description: leafDescription(entry, differ),
    tooltip: entryTooltip(entry),
    spoken: spokenEntry(entry),
    icon: entry.kind === "mmio" ? "circuit-board" : differ ? "diff-modified" : "symbol-field",
    context: page.hasGptes ? "spte gpte" : "spte",
    children: "none",
    value: hex(spteWord(entry)),
    watch: `spte(${entry.tdp ? "gpa:" : ""}${hex(entry.gva)}, ${page.level})`,
    memoryReference: `hpa:${hex(address)}`,
    ...(entry.kind === "leaf" ? { hostPage: `gpa:${hex(page.gfnAt(index) * 4096)}` } : {}),
    breakpoint: `spte hpa:${hex(address)} w`,
    reveal: { view: "sptes", id: spteId(entry) },
  };
}

/** The id of an spte's row in the Sptes view. */
export const spteId = ({ page, index }: ShadowEntry): string => `sptes/${page.serial}/${index}`;

function leafDescription(entry: ShadowEntry, differ: boolean): string {
  if (entry.kind === "mmio") return mmioDescription(entry);
  const spte = `spte ${hex(spteWord(entry))} ${spteFlagText(entry)}`;
  if (!entry.gpte) return spte;
  return `gpte ${hex(entry.gpte.value)} ${gpteFlagText(entry)} ${differ ? "≠" : "→"} ${spte}`;
}

/** Where device memory is, and of which memslots it is believed; not every era keeps that. */
function mmioDescription({ format, lo, hi }: ShadowEntry): string {
  const generation = format.storesGeneration
    ? ` of slots generation ${hex(format.mmioGeneration(lo, hi))}`
    : "";
  return `mmio${generation}, gfn ${hex(format.mmioGfn(lo, hi))}`;
}

/** A row for consecutive sptes of one meaning; its children are the sptes. */
export function runNode(id: string, run: readonly ShadowEntry[]): ViewNode {
  const [first] = run;
  const last = run.at(-1);
  if (!first || !last) throw new Error("a run of no entries");
  const end = last.gva + (1n << spanBits(last.page.level)) - 1n;
  const what =
    first.kind === "mmio"
      ? "mmio"
      : `pfn ${hex(sptePfn(first.lo, first.hi))}… ${spteFlagText(first)}`;
  const differ = run.filter((entry) => differences(entry).length > 0).length;
  const marks = differ > 0 ? ` · ${differ} ≠ gpte` : "";
  return {
    id,
    label: `${hex(first.gva)}–${hex(end)}`,
    description: `${run.length} × level ${first.page.level} · ${what}${marks}`,
    tooltip: `${counted(run.length, "spte")} that follow each other with the same rights. Open for each${first.page.hasGptes ? " with its gpte" : ""}.`,
    spoken: `${first.tdp ? counted(run.length, "spte") : counted(run.length, "shadow entry", "shadow entries")} from ${first.tdp ? "guest physical " : ""}${first.gva.toString(16)} hex, level ${first.page.level}${marks}`,
    icon: differ > 0 ? "diff-modified" : "list-tree",
    context: "run",
    children: "collapsed",
    value: `${run.length} ${what}`,
    memoryReference: `hpa:${hex(first.page.spt + 8 * first.index)}`,
  };
}
