import { hex, type Refusal, refuse } from "../refusal";

/** e_machine of the two architectures that can be run. */
export const ELF_MACHINE = { i386: 3, x86_64: 62 } as const;
const MACHINE_NAMES: Readonly<Record<number, string>> = {
  2: "SPARC",
  8: "MIPS",
  20: "PowerPC",
  21: "64-bit PowerPC",
  22: "S/390",
  40: "Arm",
  50: "Itanium",
  183: "AArch64",
  243: "RISC-V",
  258: "LoongArch",
};
const TYPE = { relocatable: 1, executable: 2, shared: 3, core: 4 } as const;
const SEGMENT_LOAD = 1;

/** A program header: `bytes` is its part of the file, `memorySize` what it fills, the rest being zero. */
export interface ElfSegment {
  readonly type: number;
  readonly flags: number;
  readonly virtual: bigint;
  readonly physical: bigint;
  readonly memorySize: bigint;
  readonly bytes: Uint8Array;
}

/** The headers of an ELF file that passed every check; sections are read by `readElfSections`. */
export interface ElfFile {
  readonly kind: "elf";
  readonly name: string;
  readonly bytes: Uint8Array;
  /** 32 or 64. */
  readonly bits: 32 | 64;
  readonly machine: number;
  readonly entry: bigint;
  /** PT_LOAD segments with something in them, in file order. */
  readonly segments: readonly ElfSegment[];
  readonly sectionTable: {
    readonly offset: bigint;
    readonly count: number;
    readonly names: number;
  };
}

/** Where the fields of a header lie, by class (System V ABI, gABI chapters 4 and 5). */
const LAYOUT = {
  32: {
    word: 4,
    entry: 24,
    phoff: 28,
    shoff: 32,
    phentsize: 42,
    phnum: 44,
    shentsize: 46,
    shnum: 48,
    shstrndx: 50,
    header: 52,
    program: 32,
    section: 40,
  },
  64: {
    word: 8,
    entry: 24,
    phoff: 32,
    shoff: 40,
    phentsize: 54,
    phnum: 56,
    shentsize: 58,
    shnum: 60,
    shstrndx: 62,
    header: 64,
    program: 56,
    section: 64,
  },
} as const;

export const ELF_SECTION_HEADER_BYTES = { 32: LAYOUT[32].section, 64: LAYOUT[64].section } as const;

export const isElf = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;

/** Reads the file header and the program headers of an x86 executable. Never throws. */
export function readElf(bytes: Uint8Array, name: string): ElfFile | Refusal {
  if (!isElf(bytes)) return refuse(`${name}: not an ELF file (it does not begin with 7f 45 4c 46)`);
  const bits = bytes[4] === 1 ? 32 : bytes[4] === 2 ? 64 : undefined;
  if (bits === undefined)
    return refuse(
      `${name}: ELF class ${bytes[4] ?? "missing"} at byte 4 is neither 1 (32 bits) nor 2 (64 bits): the file is damaged, build it again`,
    );
  if (bytes[5] !== 1)
    return refuse(`${name}: the ELF file is not little-endian (byte 5): build it for x86`);
  const layout = LAYOUT[bits];
  if (bytes.length < layout.header)
    return refuse(
      `${name}: truncated: the ELF${bits} header needs ${layout.header} bytes and the file has ${bytes.length}; copy or build it again`,
    );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (at: number): bigint =>
    layout.word === 8 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true));
  const machine = view.getUint16(18, true);
  const wrong = wrongKind(name, bits, machine, view.getUint16(16, true));
  if (wrong) return wrong;
  const segments = readSegments(view, bytes, name, bits, {
    offset: word(layout.phoff),
    size: view.getUint16(layout.phentsize, true),
    count: view.getUint16(layout.phnum, true),
  });
  if ("kind" in segments) return segments;
  return {
    kind: "elf",
    name,
    bytes,
    bits,
    machine,
    entry: word(layout.entry),
    segments,
    sectionTable: {
      offset: word(layout.shoff),
      count: view.getUint16(layout.shnum, true),
      names: view.getUint16(layout.shstrndx, true),
    },
  };
}

function wrongKind(
  name: string,
  bits: 32 | 64,
  machine: number,
  type: number,
): Refusal | undefined {
  const known = machine === ELF_MACHINE.i386 || machine === ELF_MACHINE.x86_64;
  if (!known)
    return refuse(
      `${name}: built for ${MACHINE_NAMES[machine] ?? `ELF machine ${machine}`}: build it for x86 (machine 3 or 62)`,
    );
  if (bits === 64 && machine === ELF_MACHINE.i386)
    return refuse(
      `${name}: ELF class 64 with a 32-bit machine (3): the header is damaged, build it again`,
    );
  if (type === TYPE.executable) return undefined;
  const what: Readonly<Record<number, string>> = {
    [TYPE.relocatable]: "an object file: link it first",
    [TYPE.shared]: "position-independent: link it with -no-pie at a fixed address",
    [TYPE.core]: "a core dump: give the program that made it",
  };
  return refuse(`${name}: ${what[type] ?? `ELF type ${type}, not an executable (2): link it`}`);
}

interface Table {
  readonly offset: bigint;
  readonly size: number;
  readonly count: number;
}

function readSegments(
  view: DataView,
  bytes: Uint8Array,
  name: string,
  bits: 32 | 64,
  table: Table,
): readonly ElfSegment[] | Refusal {
  const expected = LAYOUT[bits].program;
  if (table.count === 0)
    return refuse(`${name}: no program headers, so nothing to load: link it as an executable`);
  if (table.size !== expected)
    return refuse(
      `${name}: program headers of ${table.size} bytes where ELF${bits} has ${expected}: the header is damaged, build it again`,
    );
  const segments: ElfSegment[] = [];
  for (let i = 0; i < table.count; i++) {
    const at = table.offset + BigInt(i * expected);
    if (at + BigInt(expected) > BigInt(bytes.length))
      return refuse(
        `${name}: truncated: program header ${i} at ${hex(at)} lies past the end of the file (${hex(bytes.length)}); copy or build it again`,
      );
    const segment = readSegment(view, bytes, bits, Number(at));
    if (segment.type !== SEGMENT_LOAD) continue;
    const end = segment.offset + segment.fileSize;
    if (end > BigInt(bytes.length))
      return refuse(
        `${name}: truncated: segment ${i} ends at file offset ${hex(end)} and the file at ${hex(bytes.length)}; copy or build it again`,
      );
    if (segment.fileSize > segment.memorySize)
      return refuse(
        `${name}: segment ${i} has ${hex(segment.fileSize)} bytes in the file and room for ${hex(segment.memorySize)} in memory: the header is damaged, build it again`,
      );
    if (segment.memorySize > 0n) segments.push(segment);
  }
  return segments;
}

interface RawSegment extends ElfSegment {
  readonly offset: bigint;
  readonly fileSize: bigint;
}

function readSegment(view: DataView, bytes: Uint8Array, bits: 32 | 64, at: number): RawSegment {
  const u32 = (offset: number): number => view.getUint32(at + offset, true);
  const u64 = (offset: number): bigint => view.getBigUint64(at + offset, true);
  const raw =
    bits === 64
      ? {
          type: u32(0),
          flags: u32(4),
          offset: u64(8),
          virtual: u64(16),
          physical: u64(24),
          fileSize: u64(32),
          memorySize: u64(40),
        }
      : {
          type: u32(0),
          flags: u32(24),
          offset: BigInt(u32(4)),
          virtual: BigInt(u32(8)),
          physical: BigInt(u32(12)),
          fileSize: BigInt(u32(16)),
          memorySize: BigInt(u32(20)),
        };
  const inside = raw.offset + raw.fileSize <= BigInt(bytes.length);
  const start = inside ? Number(raw.offset) : 0;
  return { ...raw, bytes: bytes.subarray(start, inside ? start + Number(raw.fileSize) : 0) };
}
