import { ACC, gfn, hva, pagesPerLevel } from "../../../x86";
import { isFrozen } from "../../tdp/frozen";
import { GPTE } from "../guest-entry";
import { adKind } from "../make-spte";
import { ROLE, type RoleWord, roleAccess } from "../role";
import { LARGE, WRITABLE } from "../spte";
import { AD_KIND } from "../spte-format";
import type { EntryView } from "./entry-view";
import { type EntryInvariant, hex, type VmInvariant } from "./invariant";

/** Bits 51:32 of the frame address. */
const FRAME_HI = 0x000fffff;
/** Bits 63:52, where no address is. */
const ATTRIBUTES_HI = 0xfff00000;

/** An spte built for W without U, as kernel writes to a read-only user page with CR0.WP = 0 want it. */
const kernelForm = (view: EntryView): boolean =>
  (view.page.role & ROLE.cr0Wp) === 0 &&
  (view.page.accessAt(view.index) & (ACC.write | ACC.user)) === ACC.write;

const pointerKind = (role: RoleWord): number =>
  role & ROLE.adDisabled ? AD_KIND.disabled : AD_KIND.enabled;

/** Class S: what one entry may look like. */
export const SPTE_INVARIANTS: readonly EntryInvariant[] = [
  {
    id: "INV-S-01",
    rule: "a present leaf maps the present host page of its gfn, inside a slot",
    entry(view) {
      if (!view.leaf) return undefined;
      const { slot, gfn: frame } = view;
      if (!slot) return `${view} maps gfn ${hex(frame)}, which is in no slot`;
      const pfn = view.state.hostProcess.translate(slot.hvaOf(frame));
      return pfn === view.pfn
        ? undefined
        : `${view} maps pfn ${hex(view.pfn)}, but the host has ${pfn === undefined ? "no page" : hex(pfn)} there`;
    },
  },
  {
    id: "INV-S-02",
    rule: "a present non-leaf points at one live shadow page, one level down",
    entry(view) {
      if (!view.present || view.leaf) return undefined;
      const { child } = view;
      if (!child) return `${view} points at no shadow page`;
      return child.level === view.page.level - 1
        ? undefined
        : `${view} points at a page of level ${child.level}`;
    },
  },
  {
    id: "INV-S-03",
    rule: "no reserved bit is set",
    entry(view) {
      if (!view.present) return undefined;
      const { knownLo, knownHi, physicalBits } = view.state.format;
      const beyond = FRAME_HI & ~(2 ** (physicalBits - 32) - 1);
      const bad = view.hi & (beyond | (ATTRIBUTES_HI & ~knownHi)) || view.lo & 0xfff & ~knownLo;
      const large = (view.lo & LARGE) !== 0 && (view.page.level === 1 || view.page.level > 3);
      return bad || large ? `${view} has a reserved bit` : undefined;
    },
  },
  {
    id: "INV-S-04",
    rule: "a large leaf is aligned to its size",
    entry(view) {
      const span = pagesPerLevel(view.page.level);
      return view.leaf && (view.pfn % span || view.gfn % span)
        ? `${view} is not aligned to ${span} pages`
        : undefined;
    },
  },
  {
    id: "INV-S-05",
    rule: "W implies MMU-writable implies host-writable",
    entry(view) {
      if (!view.leaf) return undefined;
      const writable = (view.lo & WRITABLE) !== 0;
      // In 2010 there is no MMU-writable bit: W stands for it.
      const mmuWritable = view.state.format.marksMmuWritable ? view.mmuWritable : writable;
      const wrong = (writable && !mmuWritable) || (mmuWritable && !view.hostWritable);
      return wrong ? `${view} has no legal writable state` : undefined;
    },
  },
  {
    id: "INV-S-06",
    rule: "host-writable only for a writable slot over a writable host page",
    entry(view) {
      if (!view.leaf || !view.hostWritable) return undefined;
      const { slot } = view;
      const writable = slot && view.state.hostProcess.isWritable(hva(slot.hvaOf(view.gfn)));
      return !slot || slot.readonly || !writable
        ? `${view} is host-writable over read-only memory`
        : undefined;
    },
  },
  {
    id: "INV-S-07",
    rule: "what is neither present nor mmio is the empty value",
    entry(view) {
      const { format } = view.state;
      const frozen = view.page.tdpMmuPage && isFrozen(format, view.lo, view.hi);
      return view.present || view.mmio || frozen || format.isEmpty(view.lo, view.hi)
        ? undefined
        : `${view} is neither empty, present nor mmio`;
    },
  },
  {
    id: "INV-S-08",
    rule: "an mmio mark is for a gfn in no slot, or of an older generation",
    entry(view) {
      if (!view.mmio) return undefined;
      const { format, slotSets } = view.state;
      const slots = slotSets[0]!;
      const current =
        format.mmioGeneration(view.lo, view.hi) === format.storedGeneration(slots.generation);
      const slot = slots.find(gfn(format.mmioGfn(view.lo, view.hi)));
      return current && slot?.visible
        ? `${view} says mmio where slot ${slot.id} has memory`
        : undefined;
    },
  },
  {
    id: "INV-S-10",
    rule: "a leaf grants what it was built with, and that is within the page's access but for the kernel form",
    entry(view) {
      if (!view.leaf || !view.page.hasGptes) return undefined;
      // Its rights are put aside until it is used again.
      if (view.state.format.isAccessTracked(view.lo, view.hi)) return undefined;
      const built = view.page.accessAt(view.index);
      const beyond = built & ~roleAccess(view.page.role);
      if (beyond && !(beyond === ACC.write && kernelForm(view)))
        return `${view} was built with more access than its page`;
      const { grants } = view;
      const { page, state } = view;
      const noExec = page.level > 1 && state.knobs.nxHugePages ? ACC.exec : 0;
      const missing = built & ~grants & ~noExec;
      return grants & ~built || missing & ~ACC.write
        ? `${view} does not grant the access ${built} it was built with`
        : undefined;
    },
  },
  {
    id: "INV-S-11",
    rule: "the kernel form under smep_andnot_wp is not executable",
    entry(view) {
      if (!view.leaf || !view.synced || view.page.level > 1) return undefined;
      if (!(view.page.role & ROLE.smepAndnotWp) || !kernelForm(view)) return undefined;
      const { gpte } = view;
      const userReadOnly = gpte && (gpte.lo & (GPTE.writable | GPTE.user)) === GPTE.user;
      return userReadOnly && view.gpteFrame === view.gfn && view.grants & ACC.exec
        ? `${view} lets the kernel execute a user page`
        : undefined;
    },
  },
  {
    id: "INV-S-12",
    rule: "with nx_huge_pages no huge leaf is executable",
    entry(view) {
      const { leaf, page, state, grants } = view;
      return leaf && page.level > 1 && state.knobs.nxHugePages && grants & ACC.exec
        ? `${view} is huge and executable`
        : undefined;
    },
  },
  {
    id: "INV-S-14",
    rule: "the A/D kind is the one of the page's role",
    entry(view) {
      if (!view.present) return undefined;
      const wanted = view.leaf ? adKind(view.state, view.page.role) : pointerKind(view.page.role);
      const kind = view.hi & AD_KIND.mask;
      return kind === wanted
        ? undefined
        : `${view} has A/D kind ${kind >> 20}, not ${wanted >> 20}`;
    },
  },
];

/** INV-S-09 looks at the stores made since it was last asked, where a log is kept. */
export const SPTE_STORE_INVARIANT: VmInvariant = {
  id: "INV-S-09",
  rule: "a volatile entry is never plainly stored",
  vm(state) {
    return (state.writeLog ?? [])
      .filter(
        (write) => write.kind === "store" && state.format.isVolatile(write.oldLo, write.oldHi),
      )
      .map(
        (write) =>
          `word ${write.sptep} was volatile (${hex(write.oldLo >>> 0)}) and plainly stored`,
      );
  },
};
