/** 64-bit machine code under construction: each method appends one instruction, or a few. */
export class Code64 {
  private readonly bytes: number[] = [];

  constructor(private readonly base: number) {}

  get here(): number {
    return this.base + this.bytes.length;
  }
  raw(...bytes: readonly number[]): this {
    this.bytes.push(...bytes);
    return this;
  }
  private little(value: bigint, size: number): this {
    for (let i = 0; i < size; i++) this.bytes.push(Number((value >> BigInt(8 * i)) & 0xffn));
    return this;
  }
  /** mov r64, imm64; registers 0…15 */
  load(register: number, value: bigint): this {
    this.raw(0x48 | (register >> 3), 0xb8 | (register & 7));
    return this.little(BigInt.asUintN(64, value), 8);
  }
  /** Mixes a register into the checksum: xor rbx, reg; rol rbx, 5 */
  mix(register: number): this {
    this.raw(0x48 | (register >> 3 ? 4 : 0), 0x31, 0xc3 | ((register & 7) << 3));
    return this.raw(0x48, 0xc1, 0xc3, 5);
  }
  /** An instruction that may fault: r15 tells the handler where to go on. */
  risky(...bytes: readonly number[]): this {
    // lea r15, [rip + length of the instruction]
    this.raw(0x4c, 0x8d, 0x3d).little(BigInt(bytes.length), 4);
    return this.raw(...bytes);
  }
  /** mov cr3, rax after loading it */
  cr3(root: number): this {
    return this.load(0, BigInt(root)).raw(0x0f, 0x22, 0xd8);
  }
  /** invlpg [rax] after loading it */
  invlpg(va: bigint): this {
    return this.load(0, va).raw(0x0f, 0x01, 0x38);
  }
  build(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }
}
