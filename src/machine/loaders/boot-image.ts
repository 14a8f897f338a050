/** Bytes to be put into guest memory before the first instruction. */
export interface Piece {
  readonly gpa: number;
  readonly bytes: Uint8Array;
}

/**
 * How the boot processor begins (platform.md 4).
 * - `protected`: 32-bit flat segments, paging off.
 * - `long`: 64-bit mode on the identity map at `cr3`, selectors 0x10 and 0x18 in the GDT at `gdt`.
 * - `real`: 16-bit real mode at `address` in segment 0.
 */
export type EntryState =
  | { readonly kind: "protected"; readonly eip: number; readonly eax: number; readonly ebx: number }
  | {
      readonly kind: "long";
      readonly rip: bigint;
      readonly cr3: number;
      readonly gdt: number;
      readonly gdtLimit: number;
      readonly stack: number;
    }
  | { readonly kind: "real"; readonly address: number; readonly dl: number };

/** A guest ready to be started: where its bytes go and how its first instruction is entered. */
export interface BootImage {
  readonly kind: "image";
  readonly format: "multiboot" | "elf" | "flat";
  readonly pieces: readonly Piece[];
  readonly entry: EntryState;
}

/** What every loader is given. */
export interface BootRequest {
  readonly image: Uint8Array;
  readonly imageName: string;
  readonly initrd: { readonly name: string; readonly bytes: Uint8Array } | undefined;
  readonly append: string;
  readonly ramBytes: number;
}
