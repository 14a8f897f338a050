/** What each bit of an spte means, for views and expressions. Pure tables. */

/** One bit of an spte. */
export interface SpteBit {
  readonly bit: number;
  readonly id: string;
  readonly name: string;
  readonly source: string;
  readonly on: string;
  readonly off: string;
  /** Levels at which it means this: all, leaves only, or large leaves only. */
  readonly where: "all" | "leaf" | "large";
}

const row = (
  bit: number,
  id: string,
  name: string,
  source: string,
  on: string,
  off: string,
  where: SpteBit["where"] = "all",
): SpteBit => ({ bit, id, name, source, on, off, where });

const KVM_BIT = "KVM software bit";
const writable = row(1, "w", "writable", "SDM 3A 4.5", "writes allowed", "read-only");
const large = row(
  7,
  "ps",
  "large page",
  "SDM 3A 4.5",
  "maps a large page",
  "points to a table",
  "large",
);
const hostWritable = (bit: number): SpteBit =>
  row(
    bit,
    "host-w",
    "host-writable",
    KVM_BIT,
    "the host page may be written",
    "read-only in the host",
    "leaf",
  );
const mmuWritable = (bit: number): SpteBit =>
  row(
    bit,
    "mmu-w",
    "MMU-writable",
    KVM_BIT,
    "neither the gpte nor shadowing forbids writes",
    "the gpte or shadowing forbids writes",
    "leaf",
  );
const mmuPresent = row(
  11,
  "mmu-p",
  "MMU-present",
  KVM_BIT,
  "a shadow-present spte",
  "empty or mmio",
);
const adDisabled = row(
  52,
  "ad-off",
  "A/D bits unused",
  KVM_BIT,
  "use is tracked by taking access away",
  "the hardware sets A and D",
);
const adWriteProtect = row(
  53,
  "ad-wp",
  "D by write protection",
  KVM_BIT,
  "dirty tracking takes W away even with PML",
  "dirty tracking may clear D",
);

const x86Hardware: readonly SpteBit[] = [
  row(0, "p", "present", "SDM 3A 4.5", "present to the hardware", "not present"),
  writable,
  row(2, "u", "user", "SDM 3A 4.5", "user mode allowed", "supervisor only"),
  row(5, "a", "accessed", "SDM 3A 4.8", "used", "not used since made"),
  row(6, "d", "dirty", "SDM 3A 4.8", "written", "not written", "leaf"),
  large,
];
const nx = row(63, "nx", "no-execute", "SDM 3A 4.6", "no instruction fetches", "fetches allowed");

const eptRights: readonly SpteBit[] = [
  row(0, "r", "readable", "SDM 3C 30.3.2", "reads allowed", "no reads"),
  { ...writable, source: "SDM 3C 30.3.2" },
  row(2, "x", "executable", "SDM 3C 30.3.2", "fetches allowed", "no instruction fetches"),
];
const eptMemoryType: readonly SpteBit[] = [
  row(3, "mt0", "memory type, bit 0", "SDM 3C 30.3.7", "set", "clear", "leaf"),
  row(4, "mt1", "memory type, bit 1", "SDM 3C 30.3.7", "set", "clear", "leaf"),
  row(5, "mt2", "memory type, bit 2 (6 = write-back)", "SDM 3C 30.3.7", "set", "clear", "leaf"),
  row(
    6,
    "ipat",
    "ignore PAT",
    "SDM 3C 30.3.7",
    "the guest's PAT does not count",
    "combined with the guest's PAT",
    "leaf",
  ),
];
const eptAccessed = row(8, "a", "accessed", "SDM 3C 30.3.5", "used", "not used since made");
const eptDirty = row(9, "d", "dirty", "SDM 3C 30.3.5", "written", "not written", "leaf");

/** Bits by hardware format and era, rising. */
export const SPTE_BIT_TABLES = {
  x86: {
    "2010": [...x86Hardware, hostWritable(9), nx],
    "2012": [...x86Hardware, hostWritable(10), mmuWritable(11), nx],
    modern: [...x86Hardware, hostWritable(9), mmuWritable(10), mmuPresent, nx],
  },
  ept: {
    "2010": [...eptRights, ...eptMemoryType, large, hostWritable(9)],
    "2012": [...eptRights, ...eptMemoryType, large, hostWritable(10), mmuWritable(11)],
    modern: [
      ...eptRights,
      ...eptMemoryType,
      large,
      eptAccessed,
      eptDirty,
      mmuPresent,
      adDisabled,
      adWriteProtect,
      row(
        54,
        "saved-r",
        "saved R",
        KVM_BIT,
        "R comes back at the next use",
        "nothing saved",
        "leaf",
      ),
      row(
        56,
        "saved-x",
        "saved X",
        KVM_BIT,
        "X comes back at the next use",
        "nothing saved",
        "leaf",
      ),
      hostWritable(57),
      mmuWritable(58),
      row(
        63,
        "sve",
        "suppress #VE",
        "SDM 3C 30.3.3",
        "violations exit",
        "violations may become #VE",
      ),
    ],
  },
} as const satisfies Record<string, Record<string, readonly SpteBit[]>>;
