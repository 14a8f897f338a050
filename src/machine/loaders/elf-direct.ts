import { hex, type Refusal, refuse } from "../refusal";
import type { BootImage, BootRequest } from "./boot-image";
import { ELF_MACHINE, type ElfFile } from "./elf";
import { placeSegments } from "./segments";

/**
 * An ELF file without a boot header. A 32-bit one starts in flat protected mode; a 64-bit one in
 * long mode on an identity map of the first 4 GiB by 2 MiB pages, built here in low memory:
 */
const AREA = { gdt: 0x500, stackTop: 0x8000, pml4: 0x90000, bytes: 0x6000 } as const;
const ENTRY_PRESENT_WRITABLE = 3n;
const LARGE_PAGE = 0x80n;
const CODE_64 = 0x00af9b000000ffffn;
const DATA = 0x00cf93000000ffffn;

/** Selectors: 0x10 code, 0x18 data, as the Linux boot protocol has them. */
const GDT: readonly bigint[] = [0n, 0n, CODE_64, DATA];

export function loadElf(request: BootRequest, elf: ElfFile): BootImage | Refusal {
  const placed = placeSegments(elf, request.ramBytes);
  if (placed.kind === "refused") return placed;
  if (request.initrd)
    return refuse(
      `${request.initrd.name}: ${elf.name} has no multiboot header, so an initrd cannot be handed to it: leave out --initrd or add the header`,
    );
  if (elf.machine === ELF_MACHINE.i386)
    return {
      kind: "image",
      format: "elf",
      pieces: placed.pieces,
      entry: { kind: "protected", eip: placed.entry, eax: 0, ebx: 0 },
    };
  if (placed.overlaps(AREA.pml4, AREA.bytes) || placed.overlaps(AREA.gdt, 8 * GDT.length))
    return refuse(
      `${elf.name}: a segment covers gpa ${hex(AREA.gdt)} or ${hex(AREA.pml4)}–${hex(AREA.pml4 + AREA.bytes)}, where the start-up tables go: link it at 1 MiB or above, or add a multiboot header`,
    );
  return {
    kind: "image",
    format: "elf",
    pieces: [
      ...placed.pieces,
      { gpa: AREA.gdt, bytes: quadwords(GDT) },
      { gpa: AREA.pml4, bytes: identityMap(AREA.pml4) },
    ],
    entry: {
      kind: "long",
      rip: BigInt(placed.entry),
      cr3: AREA.pml4,
      gdt: AREA.gdt,
      gdtLimit: 8 * GDT.length - 1,
      stack: AREA.stackTop,
    },
  };
}

/** One PML4, one PDPT, four page directories. */
function identityMap(base: number): Uint8Array {
  const table = (index: number): bigint => BigInt(base + 0x1000 * index) | ENTRY_PRESENT_WRITABLE;
  const entries = new Array<bigint>(6 * 512).fill(0n);
  entries[0] = table(1);
  for (let i = 0; i < 4; i++) entries[512 + i] = table(2 + i);
  for (let i = 0; i < 2048; i++)
    entries[1024 + i] = (BigInt(i) << 21n) | LARGE_PAGE | ENTRY_PRESENT_WRITABLE;
  return quadwords(entries);
}

function quadwords(values: readonly bigint[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 * values.length));
  values.forEach((value, i) => {
    view.setBigUint64(8 * i, value, true);
  });
  return new Uint8Array(view.buffer);
}
