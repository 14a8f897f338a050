/** A set of the 256 interrupt vectors as the APIC shows it: eight 32-bit words. */
export class VectorSet {
  readonly words = new Uint32Array(8);

  has(vector: number): boolean {
    return ((this.words[vector >> 5] ?? 0) & (1 << (vector & 31))) !== 0;
  }
  add(vector: number): void {
    this.words[vector >> 5] = (this.words[vector >> 5] ?? 0) | (1 << (vector & 31));
  }
  delete(vector: number): void {
    this.words[vector >> 5] = (this.words[vector >> 5] ?? 0) & ~(1 << (vector & 31));
  }
  clear(): void {
    this.words.fill(0);
  }

  /** The highest vector, or -1. */
  get highest(): number {
    for (let i = 7; i >= 0; i--) {
      const word = this.words[i] ?? 0;
      if (word !== 0) return 32 * i + 31 - Math.clz32(word);
    }
    return -1;
  }
}
