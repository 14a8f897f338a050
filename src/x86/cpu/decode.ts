import type { Bytes, Insn, InsnKind, MemoryOperand, Operand } from "./insn";
import { GPR, S, SEG, type SegIndex } from "./layout";
import { type OpcodeSlot, type OperandCode, type Row, SLOTS } from "./opcode-rows";

/** Where the decoder's bytes come from. */
export interface CodeReader {
  /** Byte `n` of the instruction, or -1 if it cannot be fetched (the reader keeps the fault). */
  byte(n: number): number;
}

/** Longest instruction; one byte more is #GP(0) (SDM 2A 2.3.11). */
export const MAX_INSN_BYTES = 15;

const SEGMENT_PREFIX: Readonly<Record<number, SegIndex>> = {
  38: SEG.es,
  46: SEG.cs,
  54: SEG.ss,
  62: SEG.ds,
  100: SEG.fs,
  101: SEG.gs,
};

/** Base and index of the 16-bit addressing forms (SDM 2A table 2-1). */
const FORMS_16: readonly (readonly [number, number])[] = [
  [GPR.rbx, GPR.rsi],
  [GPR.rbx, GPR.rdi],
  [GPR.rbp, GPR.rsi],
  [GPR.rbp, GPR.rdi],
  [GPR.rsi, -1],
  [GPR.rdi, -1],
  [GPR.rbp, -1],
  [GPR.rbx, -1],
];

const FIXED_SEGMENTS: Readonly<Record<string, number>> = {
  ES: SEG.es,
  CS: SEG.cs,
  SS: SEG.ss,
  DS: SEG.ds,
  FS: SEG.fs,
  GS: SEG.gs,
};

/** Struct address of a general register operand; `rex` says whether 4-7 mean SPL…DIL or AH…BH. */
export const regSlot = (index: number, size: number, rex: boolean): number =>
  size === 1 && !rex && index >= 4 && index < 8 ? S.gpr + 8 * (index - 4) + 1 : S.gpr + 8 * index;

class FetchFailed {}
const fetchFailed = new FetchFailed();
class TooLong {}
const tooLong = new TooLong();

/** State of one decode. */
class Decoder {
  private pos = 0;
  private readonly raw: number[] = [];
  private operand66 = false;
  private address67 = false;
  private rep = 0;
  private lock = false;
  private override = -1;
  private rex = 0;
  private modrm = -1;
  private memory: MemoryOperand | undefined;
  private ripRelative = false;
  private addressSize: 2 | 4 | 8 = 8;
  private operandSize: Bytes = 4;

  constructor(
    private readonly reader: CodeReader,
    private readonly ip: bigint,
    private readonly bits: 16 | 32 | 64,
  ) {}

  decode(): Insn {
    const opcode = this.prefixes();
    const slot = this.opcode(opcode);
    this.addressSize =
      this.bits === 64 ? (this.address67 ? 4 : 8) : (this.bits === 32) !== this.address67 ? 4 : 2;
    if (slot.hasModrm) this.readModrm();
    const row = slot.rows.find((each) => this.matches(each));
    if (!row) return this.finish("undefined", "ud", [], undefined);
    this.operandSize = this.sizeOf(row);
    if (slot.hasModrm && this.modrm < 0xc0) this.readMemory();
    const operands = row.operands.map((code) => this.operandOf(code, row));
    if (row.flags.has("todo")) return this.finish("unimplemented", row.name, operands, row);
    const locked = this.lock && !(row.flags.has("lock") && operands[0]?.kind === "mem");
    if (locked || operands.includes(undefined)) return this.finish("undefined", "ud", [], row);
    return this.finish(row.flags.has("sys") ? "sysop" : "code", row.name, operands, row);
  }

  private finish(
    kind: InsnKind,
    name: string,
    operands: readonly (Operand | undefined)[],
    row: Row | undefined,
  ): Insn {
    const wrap = this.bits === 64 ? 64 : 32;
    const nextIp = BigInt.asUintN(wrap, this.ip + BigInt(this.pos));
    const resolved = operands.map((operand): Operand => {
      if (operand?.kind === "mem" && this.ripRelative)
        return { ...operand, disp: BigInt.asIntN(64, nextIp + operand.disp) };
      if (operand?.kind === "rel") {
        const size = row?.flags.has("f64") && this.bits === 64 ? 8 : this.operandSize;
        return { kind: "rel", target: BigInt.asUintN(8 * size, nextIp + operand.target) };
      }
      return operand!;
    });
    return {
      kind,
      name,
      ip: this.ip,
      nextIp,
      length: this.pos,
      bytes: Uint8Array.from(this.raw),
      operands: resolved,
      operandSize: this.operandSize,
      addressSize: this.addressSize,
      codeBits: this.bits,
      rep: row?.prefix === this.rep ? 0 : this.rep,
      lock: this.lock,
      cc: row?.cc ?? 0,
      override: this.override,
    };
  }

  private next(): number {
    if (this.pos >= MAX_INSN_BYTES) throw tooLong;
    const byte = this.reader.byte(this.pos);
    if (byte < 0) throw fetchFailed;
    this.raw.push(byte);
    this.pos++;
    return byte;
  }

  /** Reads prefixes; returns the first opcode byte. REX counts only as the very last byte before it. */
  private prefixes(): number {
    for (;;) {
      const byte = this.next();
      const segment = SEGMENT_PREFIX[byte];
      if (segment !== undefined) {
        // ES, CS, SS and DS overrides mean nothing in 64-bit mode and do not cancel FS or GS.
        if (this.bits !== 64 || segment >= SEG.fs) this.override = segment;
      } else if (byte === 0x66) this.operand66 = true;
      else if (byte === 0x67) this.address67 = true;
      else if (byte === 0xf0) this.lock = true;
      else if (byte === 0xf2 || byte === 0xf3) this.rep = byte;
      else if (this.bits === 64 && (byte & 0xf0) === 0x40) {
        this.rex = byte;
        continue;
      } else return byte;
      this.rex = 0;
    }
  }

  private opcode(first: number): OpcodeSlot {
    if (first === 0x0f) {
      const second = this.next();
      if (second === 0x38) {
        const third = this.next();
        const slot = SLOTS["0f38"][third]!;
        return slot.rows.length ? slot : UNKNOWN_WITH_MODRM;
      }
      if (second === 0x3a) {
        this.next();
        return UNKNOWN_WITH_MODRM;
      }
      return SLOTS["0f"][second]!;
    }
    // C4, C5 and 62 are VEX and EVEX in 64-bit mode, or elsewhere when the next byte is a register form.
    if (first === 0xc4 || first === 0xc5 || first === 0x62) {
      if (this.bits === 64) return UNKNOWN_VEX;
      const peek = this.reader.byte(this.pos);
      if (peek < 0) throw fetchFailed;
      if (peek >= 0xc0) return UNKNOWN_VEX;
    }
    return SLOTS["1"][first]!;
  }

  private matches(row: Row): boolean {
    const { flags } = row;
    if (flags.has(this.bits === 64 ? "i64" : "o64")) return false;
    if (flags.has("rexb0") && this.rex & 1) return false;
    if (row.modrm >= 0 && row.modrm !== this.modrm) return false;
    if (row.digit >= 0 && row.digit !== ((this.modrm >> 3) & 7)) return false;
    if (flags.has("mem") && this.modrm >= 0xc0) return false;
    if (flags.has("reg") && this.modrm < 0xc0) return false;
    if (flags.has("np")) return !this.operand66 && this.rep === 0;
    if (row.prefix === 0x66) return this.operand66 && this.rep === 0;
    return row.prefix === 0 || row.prefix === this.rep;
  }

  private sizeOf(row: Row): Bytes {
    const { flags } = row;
    if (flags.has("b")) return 1;
    const wide = (this.rex & 8) !== 0;
    let size: Bytes;
    if (this.bits === 64) {
      if (wide || flags.has("f64")) size = 8;
      else if (this.operand66) size = 2;
      else size = flags.has("d64") ? 8 : 4;
    } else size = (this.bits === 32) !== this.operand66 ? 4 : 2;
    return flags.has("io") && size === 8 ? 4 : size;
  }

  private readModrm(): void {
    this.modrm = this.next();
  }

  private signed(bytes: number): bigint {
    let value = 0n;
    for (let n = 0; n < bytes; n++) value |= BigInt(this.next()) << BigInt(8 * n);
    return BigInt.asIntN(8 * bytes, value);
  }

  private readMemory(): void {
    const mod = this.modrm >> 6;
    const rm = this.modrm & 7;
    let base = -1;
    let index = -1;
    let scale = 0;
    let dispBytes = mod === 1 ? 1 : 0;
    if (this.addressSize === 2) {
      [base, index] = FORMS_16[rm]!;
      if (mod === 0 && rm === 6) base = -1;
      if (mod === 2 || base + index === -2) dispBytes = 2;
    } else {
      if (mod === 2) dispBytes = 4;
      base = rm | ((this.rex & 1) << 3);
      if (rm === 4) {
        const sib = this.next();
        scale = sib >> 6;
        index = ((sib >> 3) & 7) | ((this.rex & 2) << 2);
        if (index === 4) index = -1;
        base = (sib & 7) | ((this.rex & 1) << 3);
      }
      if (mod === 0 && (base & 7) === 5) {
        this.ripRelative = rm === 5 && this.bits === 64;
        base = -1;
        dispBytes = 4;
      }
    }
    const disp = dispBytes ? this.signed(dispBytes) : 0n;
    // rBP counts as a stack base in 16-bit forms only where it is the base register.
    const stack = base === GPR.rsp || base === GPR.rbp;
    const segment = (this.override >= 0 ? this.override : stack ? SEG.ss : SEG.ds) as SegIndex;
    this.memory = { kind: "mem", segment, base, index, scale, disp, size: 0 };
  }

  private bytesOf(size: string): Bytes {
    switch (size) {
      case "b":
        return 1;
      case "w":
        return 2;
      case "d":
        return 4;
      case "q":
        return 8;
      case "y":
        return this.rex & 8 ? 8 : 4;
      case "r":
        return this.bits === 64 ? 8 : 4;
      case "z":
        return this.operandSize === 2 ? 2 : 4;
      default:
        return this.operandSize;
    }
  }

  private reg(index: number, size: Bytes): Operand {
    return { kind: "reg", index, slot: regSlot(index, size, this.rex !== 0), size };
  }

  private operandOf({ kind, size }: OperandCode, row: Row): Operand | undefined {
    const bytes = this.bytesOf(size);
    const regField = ((this.modrm >> 3) & 7) | ((this.rex & 4) << 1);
    const rmField = (this.modrm & 7) | ((this.rex & 1) << 3);
    switch (kind) {
      case "E":
        return this.modrm >= 0xc0
          ? this.reg(rmField, bytes)
          : { ...this.memory!, size: size === "" ? 0 : bytes };
      case "M":
        return {
          ...this.memory!,
          size: size === "" ? 0 : size === "p" ? this.operandSize + 2 : bytes,
        };
      case "R":
        return this.reg(rmField, bytes);
      case "G":
        return this.reg(regField, bytes);
      case "Z":
        return this.reg((row.opcode & 7) | ((this.rex & 1) << 3), bytes);
      case "I":
        if (size === "s") return { kind: "imm", value: this.signed(1), size: 1 };
        if (size === "c") return { kind: "imm", value: this.signed(1) & 0xffn, size: 1 };
        if (size === "w") return { kind: "imm", value: this.signed(2) & 0xffffn, size: 2 };
        return {
          kind: "imm",
          value: this.signed(size === "z" ? this.bytesOf("z") : bytes),
          size: bytes,
        };
      case "J":
        return {
          kind: "rel",
          target: this.signed(size === "b" ? 1 : this.operandSize === 2 ? 2 : 4),
        };
      case "O": {
        const segment = (this.override >= 0 ? this.override : SEG.ds) as SegIndex;
        const disp = BigInt.asUintN(8 * this.addressSize, this.signed(this.addressSize));
        return { kind: "mem", segment, base: -1, index: -1, scale: 0, disp, size: bytes };
      }
      case "S":
        return (regField & 7) > 5 ? undefined : { kind: "seg", index: regField & 7 };
      case "C":
        return [0, 2, 3, 4, 8].includes(regField) ? { kind: "cr", index: regField } : undefined;
      case "D":
        return regField > 7 ? undefined : { kind: "dr", index: regField };
      case "A": {
        const offset = BigInt.asUintN(64, this.signed(this.operandSize));
        return {
          kind: "far",
          offset: BigInt.asUintN(8 * this.operandSize, offset),
          selector: Number(BigInt.asUintN(16, this.signed(2))),
        };
      }
      case "AL":
        return { kind: "reg", index: 0, slot: S.gpr, size: 1 };
      case "CL":
        return { kind: "reg", index: GPR.rcx, slot: S.gpr + 8 * GPR.rcx, size: 1 };
      case "AX":
        return { kind: "reg", index: 0, slot: S.gpr, size: 2 };
      case "DX":
        return { kind: "reg", index: GPR.rdx, slot: S.gpr + 8 * GPR.rdx, size: 2 };
      case "rAX":
      case "eAX":
        return { kind: "reg", index: 0, slot: S.gpr, size: this.operandSize };
      case "1":
        return { kind: "imm", value: 1n, size: 1 };
      default:
        return { kind: "seg", index: FIXED_SEGMENTS[kind]! };
    }
  }
}

/** Opcodes behind 0F 38 and 0F 3A without a row: the SSE families and BMI. */
const UNKNOWN_WITH_MODRM: OpcodeSlot = {
  rows: [
    {
      map: "0f38",
      opcode: 0,
      name: "sse",
      operands: [],
      flags: new Set(["todo"]),
      digit: -1,
      modrm: -1,
      prefix: 0,
      cc: 0,
    },
  ],
  hasModrm: true,
};
/** VEX and EVEX: not offered by CPUID, so plainly undefined. */
const UNKNOWN_VEX: OpcodeSlot = { rows: [], hasModrm: false };

/**
 * One instruction at `ip` of a code segment of `bits` bits. `undefined` when a byte could not be fetched;
 * the next page is asked for only when a byte of it is really needed, so fetch faults are exact.
 */
export function decode(reader: CodeReader, ip: bigint, bits: 16 | 32 | 64): Insn | undefined {
  const decoder = new Decoder(reader, ip, bits);
  try {
    return decoder.decode();
  } catch (signal) {
    if (signal === fetchFailed) return undefined;
    if (signal !== tooLong) throw signal;
    return {
      kind: "too-long",
      name: "too-long",
      ip,
      nextIp: ip,
      length: MAX_INSN_BYTES,
      bytes: new Uint8Array(0),
      operands: [],
      operandSize: 4,
      addressSize: 4,
      codeBits: bits,
      rep: 0,
      lock: false,
      cc: 0,
      override: -1,
    };
  }
}
