import { guestMemoryMap, LOW_MEMORY } from "../memory-map";
import { hex, type Refusal, refuse } from "../refusal";
import type { BootImage, BootRequest, Piece } from "./boot-image";
import { isElf, readElf } from "./elf";
import { placeSegments } from "./segments";

/** Multiboot Specification 0.6.96. */
const HEADER_MAGIC = 0x1badb002;
const BOOT_MAGIC = 0x2badb002;
const SEARCH_BYTES = 8192;
const FLAG = { pageAlign: 1, memoryInfo: 2, video: 4, addressFields: 1 << 16 } as const;
/** Bits 15:0 must be understood; video modes are not there. */
const REQUIRED_BITS = 0xffff;
const INFO_FLAG = {
  memory: 1,
  commandLine: 4,
  modules: 8,
  memoryMap: 64,
  loaderName: 512,
} as const;
const INFO_BYTES = 120;
/** Where the information goes unless the image is there: between the BIOS data and the EBDA. */
const INFO_AT = 0x9000;
const PAGE = 4096;

interface Header {
  readonly at: number;
  readonly flags: number;
}

/** The header in the first 8 KiB, if there is one: magic, flags and checksum sum to zero. */
export function findMultibootHeader(image: Uint8Array): Header | undefined {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  for (let at = 0; at + 12 <= Math.min(image.length, SEARCH_BYTES); at += 4) {
    if (view.getUint32(at, true) !== HEADER_MAGIC) continue;
    const flags = view.getUint32(at + 4, true);
    if ((HEADER_MAGIC + flags + view.getUint32(at + 8, true)) % 2 ** 32 === 0) return { at, flags };
  }
  return undefined;
}

/** Loads a multiboot 1 kernel: ELF32, ELF64, or by the header's address fields. */
export function loadMultiboot(request: BootRequest, header: Header): BootImage | Refusal {
  const { imageName: name, ramBytes } = request;
  const unknown = header.flags & REQUIRED_BITS & ~(FLAG.pageAlign | FLAG.memoryInfo);
  if (unknown)
    return refuse(
      `${name}: its multiboot header at ${hex(header.at)} requires features ${hex(unknown)} that are not there: clear those flags`,
    );
  const placed = header.flags & FLAG.addressFields ? byAddresses(request, header) : byElf(request);
  if (placed.kind === "refused") return placed;
  const modulesAt = Math.ceil(Math.max(placed.end, LOW_MEMORY.top) / PAGE) * PAGE;
  const module = request.initrd;
  const modulesEnd = modulesAt + (module?.bytes.length ?? 0);
  if (module && modulesEnd > ramBytes)
    return refuse(
      `${module.name}: ${hex(module.bytes.length)} bytes do not fit between the end of ${name} (${hex(modulesAt)}) and the end of guest memory (${hex(ramBytes)}): give more --memory`,
    );
  const info = buildInfo(request, modulesAt);
  const at = placed.overlaps(INFO_AT, info.length) ? Math.ceil(modulesEnd / PAGE) * PAGE : INFO_AT;
  if (at + info.length > ramBytes)
    return refuse(
      `${name}: no room for the multiboot information below the end of guest memory (${hex(ramBytes)}): give more --memory`,
    );
  const pieces: Piece[] = [...placed.pieces, { gpa: at, bytes: info.at(at) }];
  if (module) pieces.push({ gpa: modulesAt, bytes: module.bytes });
  return {
    kind: "image",
    format: "multiboot",
    pieces,
    entry: { kind: "protected", eip: placed.entry, eax: BOOT_MAGIC, ebx: at },
  };
}

function byElf({ image, imageName, ramBytes }: BootRequest) {
  if (!isElf(image))
    return refuse(
      `${imageName}: a multiboot header without address fields in a file that is not ELF: set flag bit 16 or link it as ELF`,
    );
  const elf = readElf(image, imageName);
  return elf.kind === "refused" ? elf : placeSegments(elf, ramBytes);
}

/** Header offset 12: header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr. */
function byAddresses({ image, imageName: name, ramBytes }: BootRequest, header: Header) {
  if (header.at + 32 > image.length)
    return refuse(
      `${name}: truncated: the multiboot address fields at ${hex(header.at + 12)} lie past the end of the file; build it again`,
    );
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const field = (index: number): number => view.getUint32(header.at + 12 + 4 * index, true);
  const [headerAt, load, loadEnd, bssEnd, entry] = [0, 1, 2, 3, 4].map(field) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const from = header.at - (headerAt - load);
  const bytes = loadEnd === 0 ? image.length - from : loadEnd - load;
  if (from < 0 || bytes < 0 || from + bytes > image.length)
    return refuse(
      `${name}: the multiboot address fields load ${hex(load)}–${hex(loadEnd)} from file offset ${hex(from)}, which is not in the file (${hex(image.length)} bytes): correct the header`,
    );
  const end = Math.max(load + bytes, bssEnd);
  if (end > ramBytes)
    return refuse(
      `${name}: the multiboot address fields end at gpa ${hex(end)}, outside guest memory (${hex(ramBytes)} bytes): give more --memory`,
    );
  const overlaps = (base: number, length: number): boolean => load < base + length && base < end;
  const pieces = [{ gpa: load, bytes: image.subarray(from, from + bytes) }];
  return { kind: "placed", pieces, end, entry, overlaps } as const;
}

/** The information structure with its strings, module list and memory map behind it; relocatable. */
function buildInfo(request: BootRequest, modulesAt: number) {
  const { imageName, append, initrd, ramBytes } = request;
  const map = guestMemoryMap(ramBytes);
  const commandLine = text(append === "" ? imageName : `${imageName} ${append}`);
  const moduleName = text(initrd?.name ?? "");
  const loaderName = text("Penumbra");
  const moduleList = INFO_BYTES;
  const mapList = moduleList + 16;
  const commandAt = mapList + 24 * map.length;
  const moduleNameAt = commandAt + commandLine.length;
  const loaderAt = moduleNameAt + moduleName.length;
  const length = loaderAt + loaderName.length;
  const at = (base: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    const view = new DataView(bytes.buffer);
    const u32 = (offset: number, value: number): void => view.setUint32(offset, value, true);
    const u64 = (offset: number, value: number): void =>
      view.setBigUint64(offset, BigInt(value), true);
    u32(
      0,
      INFO_FLAG.memory |
        INFO_FLAG.commandLine |
        INFO_FLAG.modules |
        INFO_FLAG.memoryMap |
        INFO_FLAG.loaderName,
    );
    u32(4, LOW_MEMORY.ebda / 1024);
    u32(8, Math.max(0, ramBytes - LOW_MEMORY.top) / 1024);
    u32(16, base + commandAt);
    u32(20, initrd ? 1 : 0);
    u32(24, base + moduleList);
    u32(44, 24 * map.length);
    u32(48, base + mapList);
    u32(64, base + loaderAt);
    if (initrd) {
      u32(moduleList, modulesAt);
      u32(moduleList + 4, modulesAt + initrd.bytes.length);
      u32(moduleList + 8, base + moduleNameAt);
    }
    map.forEach((entry, i) => {
      const row = mapList + 24 * i;
      // The size field does not count itself.
      u32(row, 20);
      u64(row + 4, entry.base);
      u64(row + 12, entry.length);
      u32(row + 20, entry.type);
    });
    bytes.set(commandLine, commandAt);
    bytes.set(moduleName, moduleNameAt);
    bytes.set(loaderName, loaderAt);
    return bytes;
  };
  return { length, at };
}

/** UTF-8 is left to the guest: only bytes 1…255 of each character code, then a zero. */
const text = (value: string): Uint8Array =>
  Uint8Array.from([...Array.from(value, (c) => c.charCodeAt(0) & 0xff), 0]);
