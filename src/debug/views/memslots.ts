import type { Backing } from "../../host";
import { alignmentAdvice, type MemorySlot, type Vm } from "../../kvm";
import { hva, PAGE_SIZE, pagesPerLevel } from "../../x86";
import { dirtyRuns, runText } from "../host/dirty-runs";
import type { Changes } from "./changes";
import { treeName } from "./page-text";
import {
  counted,
  hex,
  NOTHING,
  pageOf,
  type ViewNode,
  type ViewPage,
  type ViewRequest,
} from "./view-node";

/** Id of the row whose children are the dirty pages. */
const DIRTY = "dirty-pages";

/** Each slot with its place in guest and host, flags, and what is shadowed and mapped inside it. */
export class MemslotsView {
  constructor(
    private readonly vm: Vm,
    private readonly changes: Changes,
  ) {}

  page(request: ViewRequest): ViewPage {
    const { parent } = request;
    if (parent === undefined) {
      const slots = this.vm.slots;
      return pageOf(
        this.changes.mark(
          "memslots",
          slots.map((slot) => this.slotNode(slot)),
        ),
        request,
      );
    }
    const [, id, fact] = parent.split("/");
    const slot = this.vm.slots.find((each) => each.id === Number(id));
    if (!slot) return NOTHING;
    const rows = fact === DIRTY ? this.dirtyPages(slot) : this.facts(slot);
    return pageOf(this.changes.mark(parent, rows), request);
  }

  ancestors(id: string): readonly string[] {
    const parts = id.split("/");
    return parts.slice(1).map((_, i) => parts.slice(0, i + 2).join("/"));
  }

  private slotNode(slot: MemorySlot): ViewNode {
    const first = slot.baseGfn * 4096;
    const last = first + slot.npages * 4096 - 1;
    const flags = flagsOf(slot);
    const dirty = this.dirtyText(slot);
    const range = `gpa ${hex(first)}–${hex(last)}`;
    const inside = this.inside(slot);
    const advice = alignmentAdvice(slot);
    const place = `hva ${hex(slot.userspaceAddr)}`;
    return {
      id: `memslots/${slot.id}`,
      label: `slot ${slot.id}`,
      description: [
        range,
        size(slot.npages),
        ...(flags.length > 0 ? [flags.join(", ")] : []),
        ...(dirty ? [`dirty ${dirty}`] : []),
        // Last: it is what a narrow side bar cuts off.
        place,
      ].join(" · "),
      tooltip: [
        `**Memslot ${slot.id}**`,
        `- guest physical \`${hex(first)}\` to \`${hex(last)}\` (${slot.npages} pages)`,
        `- host virtual \`${hex(slot.userspaceAddr)}\``,
        `- flags: ${flags.length > 0 ? flags.join(", ") : "none"}`,
        `- slots generation ${hex(this.vm.generation)}`,
        `- ${this.vm.tdp ? "" : `${counted(inside.pages, "shadow page")} of tables inside, `}${counted(inside.sptes, "spte")} that map it`,
        ...(advice ? [`- ${advice}`] : []),
      ].join("\n"),
      spoken: `memslot ${slot.id}, ${range} hex, ${size(slot.npages)}, ${flags.length > 0 ? flags.join(", ") : "no flags"}, ${counted(inside.sptes, "spte")}${dirty ? `, dirty ${dirty}` : ""}`,
      icon: slot.readonly ? "lock" : "server",
      context: slot.logsDirty ? "slot logging" : "slot",
      children: "collapsed",
      value: `${range} → ${place} · ${size(slot.npages)} flags ${hex(slot.flags)}`,
      watch: `slot(gpa:${hex(first)})`,
      memoryReference: `gpa:${hex(first)}`,
    };
  }

  private facts(slot: MemorySlot): ViewNode[] {
    const inside = this.inside(slot);
    const tree = treeName(this.vm);
    const counter =
      this.vm.tdpMmuPages === undefined
        ? "counted through the rmap"
        : "counted in the trees of the TDP MMU, which has no rmap";
    const rows: readonly (readonly [string, string, string, string])[] = [
      [
        "generation",
        hex(this.vm.generation),
        "versions",
        "Of the whole address space; cached mmio is believed only while it is the same.",
      ],
      [
        "shadow pages",
        String(inside.pages),
        "table",
        tree
          ? `None by nature under ${tree}: no guest table is shadowed.`
          : "Valid shadow pages whose guest table lies in this slot.",
      ],
      [
        "sptes 4K",
        String(inside.byLevel[0]),
        "symbol-field",
        `Leaves that map 4 KiB pages of this slot, ${counter}.`,
      ],
      [
        "sptes 2M",
        String(inside.byLevel[1]),
        "symbol-field",
        "Leaves that map 2 MiB pages of this slot.",
      ],
      [
        "sptes 1G",
        String(inside.byLevel[2]),
        "symbol-field",
        "Leaves that map 1 GiB pages of this slot.",
      ],
      [
        "write-tracked pages",
        String(inside.tracked),
        "eye",
        tree
          ? `None by nature under ${tree}: the guest writes to its tables without an exit.`
          : "Pages that hold upper-level guest tables: every write to them is emulated.",
      ],
      [
        "2M frames barred",
        `${inside.barred2m} of ${slot.arch.lpage[0].length}`,
        "circle-slash",
        BARRED,
      ],
      [
        "1G frames barred",
        `${inside.barred1g} of ${slot.arch.lpage[1].length}`,
        "circle-slash",
        BARRED,
      ],
      [
        "dirty pages",
        this.dirtyText(slot) ?? "not logged",
        "edit",
        slot.logsDirty
          ? "Pages written since the log was last taken or cleared."
          : "The slot has no KVM_MEM_LOG_DIRTY_PAGES flag.",
      ],
      ...this.hostFacts(slot),
    ];
    return rows.map(([label, value, icon, about]) => ({
      id: `memslots/${slot.id}/${label.replaceAll(" ", "-")}`,
      label,
      description: value,
      tooltip: about,
      spoken: `${label}: ${value}`,
      icon,
      context: label === "dirty pages" && slot.logsDirty ? "note logging" : "note",
      children: label === "dirty pages" && dirtyPages(slot) > 0 ? "collapsed" : "none",
      value,
    }));
  }

  /** Runs of frames whose bit is set. */
  private dirtyPages(slot: MemorySlot): ViewNode[] {
    return dirtyRuns(slot, slot.dirtyBitmap ?? new Uint32Array(0)).map((run) => {
      const label = runText(run);
      const value = counted(run.pages, "page");
      return {
        id: `memslots/${slot.id}/${DIRTY}/${run.first.toString(16)}`,
        label,
        description: value,
        tooltip: "Written to since the dirty log was last taken or cleared.",
        spoken: `${label} hex, ${value} dirty`,
        icon: "edit",
        context: "note",
        children: "none",
        value,
        memoryReference: `gpa:${hex(run.first * PAGE_SIZE)}`,
      };
    });
  }

  /** What the host has behind the slot. */
  private hostFacts(slot: MemorySlot): readonly (readonly [string, string, string, string])[] {
    const start = slot.userspaceAddr;
    const end = hva(start + slot.npages * PAGE_SIZE);
    const { hostProcess } = this.vm.core.state;
    const { resident, huge2m, huge1g, merged, swapped, poisoned } = hostProcess.countPages({
      start,
      end,
    });
    const kinds = hostProcess.mappings
      .filter((mapping) => mapping.start < end && start < mapping.end)
      .map(({ backing }) => backingText(backing));
    const huge = [...hugePages(huge2m, 2), ...hugePages(huge1g, 3)];
    return [
      [
        "host memory",
        [...new Set(kinds)].join(", ") || "none",
        "vm",
        "What the host process has mapped at the slot's hva.",
      ],
      [
        "resident",
        [`${resident} of ${slot.npages}`, ...huge].join(" · "),
        "layers",
        `Pages in a host frame: ${huge2m} of them in 2 MiB pages, ${huge1g} in 1 GiB pages, ${merged} merged with others.`,
      ],
      [
        "not resident",
        `${swapped} swapped, ${poisoned} poisoned`,
        "archive",
        "Pages on the host's swap device, and pages whose memory is broken.",
      ],
    ];
  }

  private inside(slot: MemorySlot) {
    const { byLevel, shadowPages, sptes } = this.vm.countsOf(slot);
    return {
      byLevel,
      pages: shadowPages,
      sptes,
      tracked: slot.arch.writeTrack.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0),
      barred2m: barred(slot.arch.lpage[0]),
      barred1g: barred(slot.arch.lpage[1]),
    };
  }

  /** How much of a slot that logs is dirty: by its bitmap, or by the rings that replace all bitmaps. */
  private dirtyText(slot: MemorySlot): string | undefined {
    if (!slot.logsDirty) return undefined;
    if (slot.dirtyBitmap) return `${dirtyPages(slot)} of ${slot.npages}`;
    const rings = this.vm.vcpus.map(({ id, dirtyRing }) => `${dirtyRing?.used ?? 0} of vcpu ${id}`);
    return `in rings, ${rings.join(", ")}`;
  }
}

/** What the host makes the memory of, by the words of the launch key `backing`. */
function backingText(backing: Backing): string {
  const rights = backing.writable ? "" : ", read-only";
  switch (backing.kind) {
    case "anonymous":
      return `anonymous${backing.thp ? ", transparent huge pages" : ""}${rights}`;
    case "hugetlb":
      return `hugetlb, ${backing.level === 2 ? "2 MiB" : "1 GiB"} pages${rights}`;
    case "file":
      return `file "${backing.file}"${rights}`;
    case "device":
      return `device${rights}`;
  }
}

/** `3 × 2 MiB` for so many small pages in huge ones; nothing for none. */
const hugePages = (pages: number, level: 2 | 3): readonly string[] =>
  pages === 0
    ? []
    : [`${Math.ceil(pages / pagesPerLevel(level))} × ${level === 2 ? "2 MiB" : "1 GiB"}`];

const BARRED =
  "Frames where `disallow_lpage` is not 0: ragged ends, gpa and hva aligned differently, or a guest table inside.";

const dirtyPages = ({ dirtyBitmap }: MemorySlot): number =>
  dirtyBitmap?.reduce((sum, word) => sum + bitsSet(word), 0) ?? 0;

const barred = (counts: Int32Array): number =>
  counts.reduce((sum, count) => sum + (count !== 0 ? 1 : 0), 0);

function flagsOf(slot: MemorySlot): readonly string[] {
  return [
    ...(slot.readonly ? ["read-only"] : []),
    ...(slot.logsDirty ? ["log dirty pages"] : []),
    ...(slot.visible ? [] : ["invalid"]),
  ];
}

function size(pages: number): string {
  const kib = pages * 4;
  if (kib % (1024 * 1024) === 0) return `${kib / (1024 * 1024)} GiB`;
  return kib % 1024 === 0 ? `${kib / 1024} MiB` : `${kib} KiB`;
}

function bitsSet(word: number): number {
  let count = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) count++;
  return count;
}
