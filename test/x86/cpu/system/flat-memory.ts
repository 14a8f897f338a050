import { ACCESS, type GuestFault } from "../../../../src/x86/cpu/board";
import type { Bytes } from "../../../../src/x86/cpu/insn";
import type { LinearMemory } from "../../../../src/x86/cpu/linear-memory";

/** Linear = physical, 1 MiB; the rest is not present. Pages can be taken away or made read-only. */
export class FlatMemory implements LinearMemory {
  readonly bytes = new DataView(new ArrayBuffer(1 << 20));
  readonly absent = new Set<number>();
  readonly readOnly = new Set<number>();
  /** Every access made, to look at its rights. */
  readonly accesses: { va: bigint; access: number }[] = [];
  fault: GuestFault | undefined;
  private stores: { va: bigint; size: Bytes; value: bigint }[] = [];

  begin(): void {
    this.fault = undefined;
    this.stores = [];
  }

  read(va: bigint, size: Bytes, access: number): bigint {
    if (!this.reach(va, size, access)) return 0n;
    return this.peek(Number(va), size);
  }

  write(va: bigint, size: Bytes, value: bigint, access: number): void {
    if (this.reach(va, size, access | ACCESS.write)) this.stores.push({ va, size, value });
  }

  commit(): void {
    if (this.fault) throw new Error("commit after a fault");
    for (const { va, size, value } of this.stores) this.poke(Number(va), size, value);
    this.stores = [];
  }

  peek(at: number, size: Bytes): bigint {
    let value = 0n;
    for (let n = size - 1; n >= 0; n--) value = (value << 8n) | BigInt(this.bytes.getUint8(at + n));
    return value;
  }

  poke(at: number, size: Bytes, value: bigint): void {
    for (let n = 0; n < size; n++)
      this.bytes.setUint8(at + n, Number((value >> BigInt(8 * n)) & 0xffn));
  }

  private reach(va: bigint, size: number, access: number): boolean {
    if (this.fault) return false;
    this.accesses.push({ va, access });
    for (const at of [va, va + BigInt(size - 1)]) {
      const page = Number(at >> 12n);
      const present = at < 1n << 20n && !this.absent.has(page);
      const writes = (access & ACCESS.write) !== 0;
      if (present && !(writes && this.readOnly.has(page))) continue;
      const error = (present ? 1 : 0) | (access & (ACCESS.write | ACCESS.user));
      this.fault = { vector: 14, error, cr2: at };
      return false;
    }
    return true;
  }
}
