/**
 * The address spaces of the field, each its own type so that the wrong one does not compile.
 *
 * - `Gva`: guest virtual (linear) address, a `bigint` in 0…2^64-1, canonical form included.
 * - `Gpa`, `Hpa`: guest/host physical address, a number below 2^52 (SDM 3A 4.1.4: MAXPHYADDR ≤ 52).
 * - `Hva`: an address in the simulated host process, a number below 2^47.
 * - `Gfn`, `Pfn`: guest/host page frame number, a number below 2^40.
 *
 * The functions below are the only crossings between them: no bare shift by 12 anywhere else.
 */
declare const space: unique symbol;

export type Gva = bigint & { readonly [space]: "gva" };
export type Gpa = number & { readonly [space]: "gpa" };
export type Hva = number & { readonly [space]: "hva" };
export type Hpa = number & { readonly [space]: "hpa" };
export type Gfn = number & { readonly [space]: "gfn" };
export type Pfn = number & { readonly [space]: "pfn" };

export const PAGE_SIZE = 4096;

export const gva = (value: bigint): Gva => BigInt.asUintN(64, value) as Gva;
export const gpa = (value: number): Gpa => value as Gpa;
export const hva = (value: number): Hva => value as Hva;
export const hpa = (value: number): Hpa => value as Hpa;
export const gfn = (value: number): Gfn => value as Gfn;
export const pfn = (value: number): Pfn => value as Pfn;

export const gfnOf = (address: Gpa): Gfn => Math.floor(address / PAGE_SIZE) as Gfn;
export const gpaOf = (frame: Gfn, offset = 0): Gpa => (frame * PAGE_SIZE + offset) as Gpa;
export const pfnOf = (address: Hpa): Pfn => Math.floor(address / PAGE_SIZE) as Pfn;
export const hpaOf = (frame: Pfn, offset = 0): Hpa => (frame * PAGE_SIZE + offset) as Hpa;

/** Byte offset inside the 4 KiB page of any address kept as a number. */
export const pageOffset = (address: number): number => address % PAGE_SIZE;
/** Byte offset inside the 4 KiB page of a linear address. */
export const pageOffsetOfGva = (address: bigint): number => Number(address & 0xfffn);

/** 4 KiB pages covered by one entry at this level: 1, 512, 512², … (KVM_PAGES_PER_HPAGE). */
export const pagesPerLevel = (level: number): number => 512 ** (level - 1);
