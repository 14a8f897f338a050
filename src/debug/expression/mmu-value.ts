import {
  accessText,
  describeRole,
  ENTRIES,
  type MemorySlot,
  pteListEntries,
  type ShadowPage,
  SLOT_FLAG,
  type Sptep,
  spteValue,
  type Vm,
} from "../../kvm";
import { gpaOf, hpa, longFormat, PAGE_SIZE } from "../../x86";
import { addressIn, boolean, field, integer, listOf, text, type Value } from "./value";
import { entryValue } from "./walk-value";

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

/** A memslot with the words of KVM_SET_USER_MEMORY_REGION. */
export function slotValue(slot: MemorySlot): Value {
  const { id, baseGfn, npages, userspaceAddr } = slot;
  const base = gpaOf(baseGfn);
  const size = npages * PAGE_SIZE;
  const flags = slotFlags(slot);
  return {
    kind: "record",
    summary: `slot ${id} ${hex(base)}–${hex(base + size - 1)}${flags === "none" ? "" : ` ${flags}`}`,
    fields: [
      field("id", () => integer(id)),
      field("gpa", () => addressIn("gpa", base)),
      field("size", () => integer(size, "x")),
      field("npages", () => integer(npages)),
      field("hva", () => addressIn("hva", userspaceAddr)),
      field("flags", () => text(flags)),
    ],
  };
}

function slotFlags(slot: MemorySlot): string {
  const words = [
    slot.flags & SLOT_FLAG.logDirty ? "log-dirty" : "",
    slot.flags & SLOT_FLAG.readonly ? "ro" : "",
    slot.flags & SLOT_FLAG.invalid ? "invalid" : "",
  ].filter((word) => word !== "");
  return words.length > 0 ? words.join(" ") : "none";
}

/** The spte of this word number, with the shadow page it is in. */
export function spteAt(vm: Vm, sptep: Sptep): Value {
  const page = vm.pageOf(sptep);
  const index = sptep - page.base;
  const entry = spteValue(vm.words[2 * sptep] ?? 0, vm.words[2 * sptep + 1] ?? 0);
  const at = hpa(page.spt + 8 * index);
  return entryValue(vm.format, longFormat(4), { level: page.level, entry, at }, [
    field("index", () => integer(index)),
    field("gfn", () => addressIn("gfn", page.gfnAt(index))),
    field("sp", () => shadowPageValue(vm, page)),
  ]);
}

/** A shadow page with the fields of kvm_mmu_page. */
export function shadowPageValue(vm: Vm, page: ShadowPage): Value {
  const { gfn, level, unsync, unsyncChildren, rootCount } = page;
  const entry = (i: number): Value => spteAt(vm, page.base + i);
  const marks = [unsync ? "unsync" : "", unsyncChildren ? `${unsyncChildren} unsync children` : ""];
  const words = [
    `gfn ${hex(gfn)}`,
    `level ${level}`,
    ...marks,
    rootCount ? `root ${rootCount}` : "",
  ];
  return {
    kind: "record",
    summary: `sp ${words.filter((w) => w !== "").join(", ")}`,
    fields: [
      field("gfn", () => addressIn("gfn", gfn)),
      field("level", () => integer(level)),
      field("role", () => roleValue(vm, page)),
      field("spt", () => addressIn("hpa", page.spt)),
      field("unsync", () => boolean(unsync)),
      field("unsync_children", () => integer(unsyncChildren)),
      ...(page.tdpMmuPage
        ? [field("tdp_mmu_root_count", () => integer(rootCount))]
        : [
            field("root_count", () => integer(rootCount)),
            field("write_flooding_count", () => integer(page.writeFloodingCount)),
            field("valid_gen", () => integer(page.mmuValidGen)),
          ]),
      field("parents", () => listOf(pteListEntries(page.parentPtes).map((p) => spteAt(vm, p)))),
      field("children", () => listOf(present(vm, page).map((i) => entry(i)))),
      field("count", () => integer(present(vm, page).length)),
    ],
    ...{ place: addressIn("hpa", page.spt), size: PAGE_SIZE },
  };
}

/** Indices of the entries that are shadow-present. */
function present(vm: Vm, page: ShadowPage): readonly number[] {
  const indices: number[] = [];
  for (let i = 0; i < ENTRIES; i++) {
    const word = 2 * (page.base + i);
    if (vm.format.isPresent(vm.words[word] ?? 0, vm.words[word + 1] ?? 0)) indices.push(i);
  }
  return indices;
}

function roleValue(vm: Vm, { role }: ShadowPage): Value {
  const fields = describeRole(role, vm.profile.era);
  const shown = fields
    .filter(({ value }) => value !== 0)
    .map(({ field: row, value }) =>
      row.id === "access" ? accessText(value) : row.width === 1 ? row.id : `${row.id}=${value}`,
    );
  return {
    kind: "record",
    summary: `${hex(role)} ${shown.join(" ")}`,
    number: BigInt(role >>> 0),
    fields: fields.map(({ field: row, value }) =>
      field(row.id, () => (row.width === 1 ? boolean(value !== 0) : integer(value))),
    ),
  };
}
