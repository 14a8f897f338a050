import {
  EPT_MEMORY_TYPE_BIT,
  eptMemoryType,
  gpteAddress,
  gpteBytes,
  gpteFormat,
  isLeaf,
  roleAccess,
  type ShadowPage,
  type SpteFormat,
  sptePfn,
  spteValue,
  type Vm,
  WRITABLE,
} from "../../kvm";
import {
  ACC,
  describeBits,
  type EntryBit,
  entryBits,
  flagText,
  type Gpa,
  spokenBits,
} from "../../x86";
import { hex } from "./view-node";

/** What entry `index` of a shadow page is now. */
export type EntryKind = "empty" | "table" | "leaf" | "mmio";

/** One spte, with the guest entry it mirrors as that stands now. */
export interface ShadowEntry {
  readonly format: SpteFormat;
  /** In the second dimension, under EPT or NPT: addresses are guest-physical. */
  readonly tdp: boolean;
  readonly page: ShadowPage;
  readonly index: number;
  readonly kind: EntryKind;
  readonly lo: number;
  readonly hi: number;
  /** First address it translates: linear, or guest-physical below a direct root. */
  readonly gva: bigint;
  /** The guest entry behind it; absent in direct pages, which have none. */
  readonly gpte?: { readonly address: number; readonly value: bigint };
}

/** Reads a guest entry; `undefined` is "not memory". */
export type ReadGuest = (at: Gpa, bytes: 4 | 8) => bigint | undefined;

const bitsOfPage = 12;
/** Bit 6 of an EPT leaf (SDM 3C 30.3.7). */
const IGNORE_PAT = 0x40;
export const spanBits = (level: number): bigint => BigInt(bitsOfPage + 9 * (level - 1));

/**
 * The address entry `index` translates, when the page's own range begins at `base`; canonical (SDM 1
 * 3.3.7.1): the highest bit of a table of four or five levels that nothing is above goes on to bit 63,
 * unless the addresses are physical.
 */
export function entryGva(base: bigint, page: ShadowPage, index: number): bigint {
  const { level } = page;
  const address = base | (BigInt(index) << spanBits(level));
  const linear = !page.direct;
  const top = linear && (level === 5 || (level === 4 && page.parentPtes === 0));
  return top && index >= 256 ? BigInt.asUintN(64, address | (-1n << spanBits(level + 1))) : address;
}

export function readEntry(
  { words, format, tdp }: Vm,
  read: ReadGuest,
  page: ShadowPage,
  index: number,
  base: bigint,
): ShadowEntry {
  const lo = words[2 * (page.base + index)] ?? 0;
  const hi = words[2 * (page.base + index) + 1] ?? 0;
  const entry = {
    format,
    tdp: tdp !== undefined,
    page,
    index,
    kind: kindOf(format, page, lo, hi),
    lo,
    hi,
    gva: entryGva(base, page, index),
  };
  if (!page.hasGptes) return entry;
  const address = gpteAddress(page, index);
  const value = read(address, gpteBytes(page));
  return value === undefined ? entry : { ...entry, gpte: { address, value } };
}

function kindOf(format: SpteFormat, page: ShadowPage, lo: number, hi: number): EntryKind {
  if (format.isMmio(lo, hi)) return "mmio";
  if (!format.isPresent(lo, hi)) return "empty";
  return isLeaf(lo, page.level) ? "leaf" : "table";
}

/** Rights as a person compares them: what the gpte grants by itself, and what the spte grants. */
export interface Rights {
  readonly w: boolean;
  readonly u: boolean;
  readonly x: boolean;
}
export const gpteRights = (gpte: bigint): Rights => ({
  w: (gpte & 2n) !== 0n,
  u: (gpte & 4n) !== 0n,
  x: gpte >> 63n === 0n,
});
export const spteRights = ({ format, lo, hi }: ShadowEntry): Rights => ({
  w: (lo & WRITABLE) !== 0,
  u: format.isUser(lo),
  x: format.isExecutable(lo, hi),
});

const RIGHT_NAMES = { w: "writable", u: "user", x: "executable" } as const;

/** Why an spte grants other rights than its gpte does; one sentence for each right that differs. */
export function differences(entry: ShadowEntry): readonly string[] {
  if (!entry.gpte || entry.kind !== "leaf") return [];
  const guest = gpteRights(entry.gpte.value);
  const shadow = spteRights(entry);
  const inherited = roleAccess(entry.page.role);
  const sentences: string[] = [];
  const explain = (right: keyof Rights, why: string): void => {
    if (guest[right] === shadow[right]) return;
    const state = shadow[right] ? RIGHT_NAMES[right] : `not ${RIGHT_NAMES[right]}`;
    sentences.push(`spte ${state}: ${why}`);
  };
  if (sptePfn(entry.lo, entry.hi) && !(entry.gpte.value & 1n)) {
    return ["the gpte is no longer present: the page is unsync and the guest has not flushed"];
  }
  explain("w", whyWritable(entry, inherited));
  explain(
    "u",
    inherited & ACC.user
      ? "kernel form made for a write with CR0.WP = 0"
      : "a table above denies user mode",
  );
  explain(
    "x",
    inherited & ACC.exec ? "kernel form made with CR4.SMEP set" : "a table above denies execution",
  );
  return sentences;
}

function whyWritable(entry: ShadowEntry, inherited: number): string {
  const gpte = entry.gpte?.value ?? 0n;
  if (spteRights(entry).w) return "the kernel wrote with CR0.WP = 0";
  if (!(inherited & ACC.write)) return "a table above denies writes";
  if (!(gpte & 0x40n)) return "gpte.D is clear: the first write must be seen to set it";
  if (!entry.format.isHostWritable(entry.lo, entry.hi)) return "the host page is read-only";
  if (entry.format.isMmuWritable(entry.lo, entry.hi)) return "writes are logged";
  const table = "the page it maps is a guest page table that is shadowed";
  // Without the bit that tells them apart (2010) it may be either.
  const { mmuWritableLo, mmuWritableHi } = entry.format;
  return mmuWritableLo | mmuWritableHi ? table : `${table}, or its writes are logged`;
}

/** Rows of named bits that apply to an spte at this level; the bits of an EPT memory type are one row. */
export function spteRows(entry: ShadowEntry): readonly EntryBit[] {
  const leaf = entry.kind === "leaf";
  return entry.format.bits
    .filter(
      (row) => row.where === "all" || (leaf && (row.where === "leaf" || entry.page.level > 1)),
    )
    .flatMap((row): readonly EntryBit[] => {
      if (!/^mt\d$/.test(row.id)) return [{ ...row, flag: row.id.toUpperCase(), sdm: row.source }];
      return row.id === "mt0" ? [memoryTypeRow(entry.lo)] : [];
    });
}

function memoryTypeRow(lo: number): EntryBit {
  const { short, name } = eptMemoryType(lo);
  return {
    bit: EPT_MEMORY_TYPE_BIT,
    width: 3,
    id: "mt",
    flag: short,
    name: `memory type ${name}`,
    sdm: "SDM 3C 30.3.7",
    on: lo & IGNORE_PAT ? "whatever the guest's PAT says" : "combined with the guest's PAT",
    off: "whatever the guest's PAT says",
  };
}

export function gpteRows(entry: ShadowEntry): readonly EntryBit[] {
  return entry.gpte ? entryBits(gpteFormat(entry.page), entry.page.level, entry.gpte.value) : [];
}

export const spteWord = (entry: ShadowEntry): bigint => spteValue(entry.lo, entry.hi);

export const spteFlagText = (entry: ShadowEntry): string =>
  flagText(spteRows(entry), spteWord(entry));
export const gpteFlagText = (entry: ShadowEntry): string =>
  entry.gpte ? flagText(gpteRows(entry), entry.gpte.value) : "";

/** Both entries bit by bit, as Markdown. */
export function entryTooltip(entry: ShadowEntry): string {
  const list = (rows: readonly string[]): string => rows.map((row) => `- ${row}`).join("\n");
  const parts = [
    `**spte** \`${hex(spteWord(entry))}\` at \`hpa:${hex(entry.page.spt + 8 * entry.index)}\``,
  ];
  if (entry.kind === "mmio") {
    const generation = entry.format.mmioGeneration(entry.lo, entry.hi);
    parts.push(
      `mmio: gfn \`${hex(entry.format.mmioGfn(entry.lo, entry.hi))}\`, generation \`${hex(generation)}\``,
    );
  } else {
    parts.push(list(describeBits(spteRows(entry), spteWord(entry))));
  }
  if (entry.gpte) {
    parts.push(`**gpte** \`${hex(entry.gpte.value)}\` at \`gpa:${hex(entry.gpte.address)}\``);
    parts.push(list(describeBits(gpteRows(entry), entry.gpte.value)));
  } else if (entry.kind === "leaf") {
    parts.push(
      entry.tdp
        ? "No gpte: this tree takes gpa to hpa. The guest's own tables are walked apart from it."
        : "No gpte: the page is direct and maps a linear range.",
    );
  }
  const differ = differences(entry);
  if (differ.length > 0) parts.push(`**Differs**\n${list(differ)}`);
  return parts.join("\n\n");
}

/** For a screen reader: "shadow entry 5, level 1, gva 5000 hex, present, writable, …". */
export function spokenEntry(entry: ShadowEntry): string {
  const differ = differences(entry);
  return [
    `${entry.tdp ? "spte" : "shadow entry"} ${entry.index}`,
    `level ${entry.page.level}`,
    `${entry.tdp ? "guest physical " : ""}address ${entry.gva.toString(16)} hex`,
    spokenBits(spteRows(entry), spteWord(entry)),
    ...(differ.length > 0 ? [`differs from the guest entry: ${differ.join("; ")}`] : []),
  ].join(", ");
}
