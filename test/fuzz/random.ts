/** xorshift32: the same numbers from the same seed, everywhere. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0 || 0x9e3779b9;
  }
  u32(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return this.state;
  }
  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
  /** 0 … limit-1. */
  below(limit: number): number {
    return this.u32() % limit;
  }
  /** True once in `n`. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }
  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new Error("nothing to pick from");
    return list[this.below(list.length)]!;
  }
}

/** The seed of the n-th program of a campaign. */
export const programSeed = (seed: number, n: number): number =>
  (Math.imul(seed, 0x10001) + Math.imul(n, 0x9e3779b1)) >>> 0;

/** Numbers that one operation draws from, in order: what it does depends on nothing else and the state. */
export class Dice {
  private at = 0;

  constructor(private readonly numbers: readonly number[]) {}

  /** 0 … below-1. */
  below(limit: number): number {
    return this.next() % limit;
  }
  /** True once in `n`. */
  oneIn(n: number): boolean {
    return this.next() % n === 0;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.next() % list.length]!;
  }
  u64(): bigint {
    return (BigInt(this.next()) << 32n) | BigInt(this.next());
  }

  private next(): number {
    const number = this.numbers[this.at % this.numbers.length]!;
    this.at++;
    return number;
  }
}
