import { CPU_FIXED_BYTES, PAGE_SIZE, VCPU_BYTES } from "../x86";

const MIB = 1024 * 1024;
/** RAM ends here at the latest: above it are the APICs and the other devices. */
export const MAX_RAM = 0xc0000000;
export const MIN_RAM = MIB;
export const MAX_VCPUS = 64;

/** Landmarks of a PC's first mebibyte. */
export const LOW_MEMORY = {
  /** End of conventional memory: the extended BIOS data area begins. */
  ebda: 0x9fc00,
  /** End of RAM below the video window. */
  video: 0xa0000,
  bios: 0xe0000,
  top: 0x100000,
} as const;

/** A range of the map that a boot loader hands to the guest. */
export interface MapEntry {
  readonly base: number;
  readonly length: number;
  /** As in the BIOS's e820 call: 1 usable, 2 reserved. */
  readonly type: 1 | 2;
}

/** The guest's memory map, rising, for so many bytes of RAM. */
export function guestMemoryMap(ramBytes: number): readonly MapEntry[] {
  const range = (base: number, end: number, type: 1 | 2): MapEntry => ({
    base,
    length: end - base,
    type,
  });
  const { ebda, video, bios, top } = LOW_MEMORY;
  const low = [range(0, ebda, 1), range(ebda, video, 2), range(bios, top, 2)];
  return ramBytes > top ? [...low, range(top, ramBytes, 1)] : low;
}

/** Where everything lies in the machine's one WebAssembly memory, in bytes. */
export interface MemoryLayout {
  readonly parkBase: number;
  readonly arenaBase: number;
  readonly arenaBytes: number;
  /** Host frames: all guest RAM, and under a hypervisor its shadow pages. */
  readonly hostBase: number;
  /** Of the whole memory, a multiple of 64 KiB. */
  readonly totalBytes: number;
}

const ARENA_BYTES = 24 * MIB;
/** Unit in which WebAssembly memory is sized. */
export const WASM_PAGE = 65536;

const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;

/** The processor's fixed part, parked vCPUs, decoded code, host frames. */
export function layoutMemory(vcpus: number, hostBytes: number): MemoryLayout {
  const parkBase = CPU_FIXED_BYTES;
  const arenaBase = roundUp(parkBase + vcpus * VCPU_BYTES, PAGE_SIZE);
  const hostBase = arenaBase + ARENA_BYTES;
  const totalBytes = roundUp(hostBase + hostBytes, WASM_PAGE);
  return { parkBase, arenaBase, arenaBytes: ARENA_BYTES, hostBase, totalBytes };
}
