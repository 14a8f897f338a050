import { ACCESS, type Board, type GuestFault } from "./board";
import type { Bytes } from "./insn";
import type { LinearMemory } from "./linear-memory";
import type { Target, Translator } from "./translate";

/** Widest store there is. */
const WIDEST = 32;

/** A store that waits for `commit`: where it goes and what. Used again once that is done. */
class PendingStore {
  kind: Target["kind"] = "ram";
  offset = 0;
  gpa = 0;
  size = 0;
  /** The first `size` bytes count. */
  readonly bytes = new Uint8Array(WIDEST);
  readonly view = new DataView(this.bytes.buffer);

  copyTo(memory: Uint8Array): void {
    const { offset, size, bytes } = this;
    for (let n = 0; n < size; n++) memory[offset + n] = bytes[n]!;
  }
}

/** Sizes a device understands. */
const DEVICE_SIZES = new Set([1, 2, 4, 8]);

export function toBytes(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let rest = value;
  let word = 0;
  for (let n = 0; n < size; n++) {
    if (n % 4 === 0) {
      word = Number(BigInt.asUintN(32, rest));
      rest >>= 32n;
    }
    bytes[n] = word;
    word >>>= 8;
  }
  return bytes;
}
export function fromBytes(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let at = (bytes.length - 1) & ~3; at >= 0; at -= 4) {
    let word = 0;
    for (let n = Math.min(3, bytes.length - 1 - at); n >= 0; n--)
      word = word * 256 + bytes[at + n]!;
    value = (value << 32n) | BigInt(word);
  }
  return value;
}

/** Device accesses of any length, in pieces a device understands. */
export function deviceRead(board: Board, gpa: number, size: number): Uint8Array {
  if (DEVICE_SIZES.has(size)) return toBytes(board.deviceRead(gpa, size), size);
  return Uint8Array.from({ length: size }, (_, n) => Number(board.deviceRead(gpa + n, 1)));
}
export function deviceWrite(board: Board, gpa: number, bytes: Uint8Array): void {
  if (DEVICE_SIZES.has(bytes.length)) {
    board.deviceWrite(gpa, bytes.length, fromBytes(bytes));
    return;
  }
  for (const [n, byte] of bytes.entries()) board.deviceWrite(gpa + n, 1, BigInt(byte));
}

/** Stores of one instruction, delivered together. */
export class StoreBuffer {
  private readonly stores: PendingStore[] = [];
  /** How many of them wait. */
  private count = 0;

  constructor(
    private readonly board: Board,
    private readonly memory: Uint8Array,
    private readonly onWrite: (offset: number, length: number) => void,
  ) {}

  clear(): void {
    this.count = 0;
  }
  get isEmpty(): boolean {
    return this.count === 0;
  }
  private next(target: Target, size: number): PendingStore {
    if (this.count === this.stores.length) this.stores.push(new PendingStore());
    const store = this.stores[this.count++]!;
    store.kind = target.kind;
    store.offset = target.offset;
    store.gpa = target.gpa;
    store.size = size;
    return store;
  }
  add(target: Target, bytes: Uint8Array): void {
    this.next(target, bytes.length).bytes.set(bytes);
  }
  addValue(target: Target, value: bigint, size: Bytes): void {
    this.next(target, size).view.setBigUint64(0, value, true);
  }
  /** Bytes at `offset` as they will be after the commit. */
  overlay(offset: number, bytes: Uint8Array): void {
    for (let n = 0; n < this.count; n++) {
      const store = this.stores[n]!;
      if (store.kind === "device") continue;
      for (let byte = 0; byte < store.size; byte++) {
        const at = store.offset + byte - offset;
        if (at >= 0 && at < bytes.length) bytes[at] = store.bytes[byte]!;
      }
    }
  }
  commit(): void {
    const { count } = this;
    this.count = 0;
    for (let n = 0; n < count; n++) {
      const store = this.stores[n]!;
      const { kind, offset, gpa, size, bytes } = store;
      if (kind === "device") {
        deviceWrite(this.board, gpa, bytes.slice(0, size));
        continue;
      }
      if (kind === "emulated") this.board.emulatedStore(gpa, bytes.slice(0, size));
      else store.copyTo(this.memory);
      this.onWrite(offset, size);
    }
  }
}

/** `LinearMemory` over a vCPU's translator. */
export class GuestMemory implements LinearMemory {
  fault: GuestFault | undefined;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly stores: StoreBuffer;

  constructor(
    memory: WebAssembly.Memory,
    private readonly board: Board,
    private readonly translator: Translator,
    onWrite: (offset: number, length: number) => void,
    /** Hears of every access of an instruction before it is made: data breakpoints. */
    private readonly onAccess: (va: bigint, size: number, access: number) => void,
  ) {
    this.bytes = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
    this.stores = new StoreBuffer(board, this.bytes, onWrite);
  }

  begin(): void {
    this.fault = undefined;
    this.stores.clear();
  }

  /** Counts as a fault met: everything after it is skipped. */
  raise(fault: GuestFault): void {
    this.fault ??= fault;
  }

  read(va: bigint, size: Bytes, access: number): bigint {
    if (this.fault) return 0n;
    this.onAccess(va, size, access);
    const inPage = 4096 - Number(va & 0xfffn);
    if (size <= inPage) return this.readInside(va, size, access);
    const first = this.part(va, inPage, access);
    const second = this.part(this.following(va, inPage), size - inPage, access);
    return this.fault ? 0n : fromBytes(Uint8Array.of(...first, ...second));
  }

  write(va: bigint, size: Bytes, value: bigint, access: number): void {
    if (this.fault) return;
    this.onAccess(va, size, access | ACCESS.write);
    const inPage = 4096 - Number(va & 0xfffn);
    if (size <= inPage) {
      const target = this.storeTarget(va, access);
      if (target) this.stores.addValue(target, value, size);
      return;
    }
    const bytes = toBytes(value, size);
    this.storePart(va, bytes.subarray(0, inPage), access);
    this.storePart(this.following(va, inPage), bytes.subarray(inPage), access);
  }

  commit(): void {
    this.stores.commit();
  }

  /** An access that starts below 4 GiB wraps there; in 64-bit mode no access crosses 2^32 downwards. */
  private following(va: bigint, by: number): bigint {
    return BigInt.asUintN(64, va + BigInt(by));
  }

  /** The usual read: plain RAM, one page, nothing stored yet. */
  private readInside(va: bigint, size: Bytes, access: number): bigint {
    const target = this.translator.data(va, access, false);
    if (target.kind === "fault" || target.kind === "device" || !this.stores.isEmpty) {
      return fromBytes(this.bytesOf(target, size));
    }
    const { view } = this;
    const { offset } = target;
    switch (size) {
      case 8:
        return view.getBigUint64(offset, true);
      case 4:
        return BigInt(view.getUint32(offset, true));
      case 2:
        return BigInt(view.getUint16(offset, true));
      default:
        return BigInt(view.getUint8(offset));
    }
  }

  private part(va: bigint, size: number, access: number): Uint8Array {
    return this.bytesOf(this.translator.data(va, access, false), size);
  }

  private bytesOf(target: Target, size: number): Uint8Array {
    if (target.kind === "fault") {
      this.fault ??= target.fault;
      return new Uint8Array(size);
    }
    if (target.kind === "device") return deviceRead(this.board, target.gpa, size);
    const bytes = this.bytes.slice(target.offset, target.offset + size);
    this.stores.overlay(target.offset, bytes);
    return bytes;
  }

  private storePart(va: bigint, bytes: Uint8Array, access: number): void {
    const target = this.storeTarget(va, access);
    if (target) this.stores.add(target, bytes);
  }

  /** Where a store goes, unless a fault has been met. */
  private storeTarget(va: bigint, access: number): Target | undefined {
    if (this.fault) return undefined;
    const target = this.translator.data(va, access | ACCESS.write, false);
    if (target.kind !== "fault") return target;
    this.fault ??= target.fault;
    return undefined;
  }
}
