// The registers by the names people use, as a table.
import { type CpuState, GPR, S, SEG, type SegIndex } from "../../x86";
import { bitsValue, type NamedBit } from "./bits";
import { CR0_BITS, CR4_BITS, EFER_BITS, RFLAGS_BITS } from "./register-bits";
import { addressIn, integer, type Value } from "./value";

export interface RegisterRow {
  readonly name: string;
  readonly group: "general" | "flags" | "segment" | "control" | "debug" | "msr" | "table";
  /** Bytes it has. */
  readonly size: number;
  readonly bits?: readonly NamedBit[];
  read(state: CpuState): bigint;
  /** Absent where a write would need more than storing a number. */
  write?(state: CpuState, value: bigint): void;
}

const general = Object.entries(GPR).map(
  ([name, index]): RegisterRow => ({
    name,
    group: "general",
    size: 8,
    read: (s) => s.gpr(index),
    write: (s, v) => s.setGpr(index, v),
  }),
);

/** eax, ax, al: lower parts by name. A write to 32 bits clears the upper half, to fewer keeps the rest. */
function part(name: string, index: number, size: 1 | 2 | 4, shift = 0n): RegisterRow {
  const mask = ((1n << BigInt(8 * size)) - 1n) << shift;
  return {
    name,
    group: "general",
    size,
    read: (s) => (s.gpr(index) & mask) >> shift,
    write: (s, v) => {
      const kept = size === 4 ? 0n : s.gpr(index) & ~mask;
      s.setGpr(index, kept | ((v << shift) & mask));
    },
  };
}

const LEGACY = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
const parts: readonly RegisterRow[] = [
  ...LEGACY.flatMap((name, i) => [part(`e${name}`, i, 4), part(name, i, 2)]),
  ...["al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"].map((name, i) => part(name, i, 1)),
  ...["ah", "ch", "dh", "bh"].map((name, i) => part(name, i, 1, 8n)),
  ...[8, 9, 10, 11, 12, 13, 14, 15].flatMap((i) => [
    part(`r${i}d`, i, 4),
    part(`r${i}w`, i, 2),
    part(`r${i}b`, i, 1),
  ]),
];

const stored = (
  name: string,
  group: RegisterRow["group"],
  offset: number,
  bits?: readonly NamedBit[],
): RegisterRow => ({
  name,
  group,
  size: 8,
  ...(bits ? { bits } : {}),
  read: (s) => s.u64(offset),
  write: (s, v) => s.setU64(offset, v),
});
/** Control registers change the mode the processor works in: the guest must do that itself. */
const fixed = ({ write: _, ...row }: RegisterRow): RegisterRow => row;

const segments = (["cs", "ss", "ds", "es", "fs", "gs", "ldtr", "tr"] as const).flatMap(
  (name): RegisterRow[] => {
    const index: SegIndex = SEG[name];
    return [
      { name, group: "segment", size: 2, read: (s) => BigInt(s.segment(index).selector) },
      { name: `${name}_base`, group: "segment", size: 8, read: (s) => s.segment(index).base },
    ];
  },
);

/** Every register, those shown in lists first. */
export const REGISTERS: readonly RegisterRow[] = [
  ...general,
  {
    name: "rip",
    group: "general",
    size: 8,
    read: (s) => s.rip,
    write: (s, v) => {
      s.rip = v;
    },
  },
  {
    name: "rflags",
    group: "flags",
    size: 8,
    bits: RFLAGS_BITS,
    read: (s) => s.rflags,
    write: (s, v) => {
      s.rflags = v;
    },
  },
  ...segments,
  fixed(stored("cr0", "control", S.cr0, CR0_BITS)),
  stored("cr2", "control", S.cr2),
  fixed(stored("cr3", "control", S.cr3)),
  fixed(stored("cr4", "control", S.cr4, CR4_BITS)),
  stored("cr8", "control", S.cr8),
  fixed(stored("efer", "msr", S.efer, EFER_BITS)),
  stored("star", "msr", S.star),
  stored("lstar", "msr", S.lstar),
  stored("sfmask", "msr", S.sfmask),
  stored("kernel_gs_base", "msr", S.kernelGsBase),
  fixed(stored("pat", "msr", S.pat)),
  stored("tsc_aux", "msr", S.tscAux),
  ...[0, 1, 2, 3, 6, 7].map((n) => fixed(stored(`dr${n}`, "debug", S.dr + 8 * n))),
  stored("gdtr_base", "table", S.gdtrBase),
  { name: "gdtr_limit", group: "table", size: 2, read: (s) => BigInt(s.u32(S.gdtrLimit)) },
  stored("idtr_base", "table", S.idtrBase),
  { name: "idtr_limit", group: "table", size: 2, read: (s) => BigInt(s.u32(S.idtrLimit)) },
  ...parts,
];

const byName = new Map(REGISTERS.map((row) => [row.name, row]));
const ALIASES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    pc: "rip",
    flags: "rflags",
    eflags: "rflags",
    eip: "rip",
  }),
);

/** By name, `$`-less; the common other names too. */
export const registerNamed = (name: string): RegisterRow | undefined =>
  byName.get(name.toLowerCase()) ?? byName.get(ALIASES.get(name.toLowerCase()) ?? "");

/** A register's number as a value: rip and stack pointers as gva, named bits as fields. */
export function registerValue(row: RegisterRow, number: bigint): Value {
  const { size } = row;
  if (row.bits) return { ...bitsValue(number, row.bits), size };
  if (ADDRESSES.has(row.name)) return { ...addressIn("gva", number), size };
  return { ...integer(number, "x"), size };
}

const ADDRESSES = new Set(["rip", "cr2", "lstar", "gdtr_base", "idtr_base"]);
