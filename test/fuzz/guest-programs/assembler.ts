import { isLong, type PagedMode } from "./layout";

export const EAX = 0;
export const ECX = 1;
export const EBX = 3;
export const ESP = 4;
export const EBP = 5;
export const ESI = 6;
export const EDI = 7;

/**
 * Machine code of one mode under construction: each method appends one instruction, or a few. The
 * first eight registers do: eax, ecx, edx for work, ebx holds the checksum, ebp where to go on after a
 * fault, esi where a fetch comes back to.
 */
export class Assembler {
  private readonly bytes: number[] = [];
  private readonly long: boolean;

  constructor(
    readonly mode: PagedMode,
    private readonly base: number,
  ) {
    this.long = isLong(mode);
  }

  get here(): number {
    return this.base + this.bytes.length;
  }
  raw(...bytes: readonly number[]): this {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }
  /** An instruction on registers as wide as the mode has them. */
  wide(...bytes: readonly number[]): this {
    return this.long ? this.raw(0x48, ...bytes) : this.raw(...bytes);
  }
  u32(value: number): this {
    for (let shift = 0; shift < 32; shift += 8) this.bytes.push((value >>> shift) & 0xff);
    return this;
  }
  /** mov r32, imm32: the upper half becomes 0. */
  load32(register: number, value: number): this {
    return this.raw(0xb8 | register).u32(value);
  }
  /** mov with all the bits that the mode has. */
  load(register: number, value: bigint): this {
    const low = Number(value & 0xffffffffn);
    if (!this.long) return this.load32(register, low);
    return this.raw(0x48, 0xb8 | register)
      .u32(low)
      .u32(Number((value >> 32n) & 0xffffffffn));
  }
  /** Mixes a register into the checksum: xor ebx, reg; rol ebx, 5 */
  mix(register: number): this {
    return this.wide(0x31, 0xc3 | (register << 3)).wide(0xc1, 0xc3, 5);
  }
  /** An instruction that may fault: ebp tells the handler where to go on. `offset` is where it runs, less `here`. */
  risky(offset: number, ...bytes: readonly number[]): this {
    return this.load32(EBP, this.here + 5 + bytes.length + offset).raw(...bytes);
  }
  /** mov [address], value, as wide as asked; the address is the kernel's. */
  store32(address: number, value: number): this {
    return this.load32(EDI, address).raw(0xc7, 0x07).u32(value);
  }
  /** mov cr3, eax */
  cr3(root: number): this {
    return this.load32(EAX, root).raw(0x0f, 0x22, 0xd8);
  }
  /** invlpg [eax] */
  invlpg(va: number): this {
    return this.load32(EAX, va).raw(0x0f, 0x01, 0x38);
  }
  /** mov eax, crN; btc eax, bit; mov crN, eax */
  flipControl(register: 0 | 4, bit: number): this {
    const code = 0xc0 | (register << 3);
    return this.raw(0x0f, 0x20, code, 0x0f, 0xba, 0xf8, bit, 0x0f, 0x22, code);
  }
  build(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }
}
