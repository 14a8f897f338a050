import type { SegIndex } from "./layout";

/** Operand and address sizes, in bytes. */
export type Bytes = 1 | 2 | 4 | 8;

/** A memory operand. The linear address is `segment base + ((base + index*scale + disp) mod 2^(8*addressSize))`. */
export interface MemoryOperand {
  readonly kind: "mem";
  readonly segment: SegIndex;
  /** Register numbers; -1 for none. */
  readonly base: number;
  readonly index: number;
  /** log2 of the scale factor. */
  readonly scale: number;
  /** Sign-extended displacement; for RIP-relative operands the absolute address. */
  readonly disp: bigint;
  /** Bytes accessed; 0 when the instruction decides (LEA, INVLPG, LGDT, FXSAVE). */
  readonly size: number;
}

/** Operand kinds after decoding. `slot` is a struct address: AH is byte 1 of the RAX slot. */
export type Operand =
  | { readonly kind: "reg"; readonly index: number; readonly slot: number; readonly size: Bytes }
  | MemoryOperand
  /** Sign-extended to 64 bits where the instruction sign-extends. */
  | { readonly kind: "imm"; readonly value: bigint; readonly size: Bytes }
  /** Target of a near branch, as an instruction pointer already masked to the operand size. */
  | { readonly kind: "rel"; readonly target: bigint }
  | { readonly kind: "far"; readonly selector: number; readonly offset: bigint }
  | { readonly kind: "seg"; readonly index: number }
  | { readonly kind: "cr"; readonly index: number }
  | { readonly kind: "dr"; readonly index: number };

/** How an instruction is carried out. */
export type InsnKind =
  /** Generated code. */
  | "code"
  /** A TypeScript function of `system/`. */
  | "sysop"
  /** Undefined opcode: #UD. */
  | "undefined"
  /** Defined by the architecture, absent here: stops the debugger, then #UD. */
  | "unimplemented"
  /** Longer than 15 bytes: #GP(0). */
  | "too-long";

/** One decoded instruction. Immutable. */
export interface Insn {
  readonly kind: InsnKind;
  /** Mnemonic of the opcode table, lower case; one name may stand for several encodings. */
  readonly name: string;
  /** Instruction pointer of the first byte, and of the next instruction (masked to the code size). */
  readonly ip: bigint;
  readonly nextIp: bigint;
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly operands: readonly Operand[];
  readonly operandSize: Bytes;
  readonly addressSize: 2 | 4 | 8;
  /** 16, 32 or 64: the code segment's size. */
  readonly codeBits: 16 | 32 | 64;
  /** F2 or F3 when present and not used up as a mandatory prefix, else 0. */
  readonly rep: number;
  readonly lock: boolean;
  /** Condition code of Jcc, SETcc, CMOVcc; else 0. */
  readonly cc: number;
  /** Segment of an override prefix, -1 without; string instructions and XLAT use it for DS:rSI. */
  readonly override: number;
}

/** What sysops get to read and write their operands; part of the context the engine passes. */
export interface OperandAccess {
  /** Zero-extended from the operand's size. A memory operand is read through `mem` (see `mem.fault`). */
  operandValue(insn: Insn, n: number): bigint;
  /** Registers change at once (32-bit writes zero-extend); memory is buffered in `mem` until `commit`. */
  setOperand(insn: Insn, n: number, value: bigint): void;
  /**
   * Of the instruction's memory operand: offset masked to the address size, and linear address with the
   * segment base. Limits and canonical form are checked by operandValue and setOperand, not here.
   */
  effectiveAddress(insn: Insn): { segment: SegIndex; offset: bigint; linear: bigint };
}
