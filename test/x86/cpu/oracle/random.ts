/** Seeded random numbers (mulberry32), with the choices that test inputs are made of. */
export class Random {
  constructor(private seed: number) {}

  /** 32 bits, unsigned. */
  u32(): number {
    this.seed = (this.seed + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.seed ^ (this.seed >>> 15), this.seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
  /** 0 … limit - 1. */
  below(limit: number): number {
    return Math.floor((this.u32() / 2 ** 32) * limit);
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
  /** A value of `bits` bits, unsigned: half of them at an edge of some operand size. */
  value(bits: number): bigint {
    return BigInt.asUintN(bits, this.chance(50) ? this.edge() : this.u64());
  }
  private edge(): bigint {
    const power = 1n << BigInt(this.pick([0, 1, 3, 4, 7, 8, 15, 16, 31, 32, 63, this.below(64)]));
    return this.pick([
      0n,
      1n,
      -1n,
      power,
      power - 1n,
      -power,
      -power - 1n,
      BigInt(this.below(256)),
    ]);
  }
}
