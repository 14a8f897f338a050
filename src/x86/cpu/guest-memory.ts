import { ACCESS, type Board, type GuestFault } from "./board";
import type { Bytes } from "./insn";
import type { LinearMemory } from "./linear-memory";
import type { Target, Translator } from "./translate";

/** A store that waits for `commit`: where it goes and what. */
interface PendingStore {
  readonly kind: Target["kind"];
  readonly offset: number;
  readonly gpa: number;
  readonly bytes: Uint8Array;
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
  private pending: PendingStore[] = [];

  constructor(
    private readonly board: Board,
    private readonly memory: Uint8Array,
    private readonly onWrite: (offset: number, length: number) => void,
  ) {}

  clear(): void {
    if (this.pending.length > 0) this.pending = [];
  }
  get isEmpty(): boolean {
    return this.pending.length === 0;
  }
  add(target: Target, bytes: Uint8Array): void {
    this.pending.push({ kind: target.kind, offset: target.offset, gpa: target.gpa, bytes });
  }
  /** Bytes at `offset` as they will be after the commit. */
  overlay(offset: number, bytes: Uint8Array): void {
    for (const store of this.pending) {
      if (store.kind === "device") continue;
      for (const [n, byte] of store.bytes.entries()) {
        const at = store.offset + n - offset;
        if (at >= 0 && at < bytes.length) bytes[at] = byte;
      }
    }
  }
  commit(): void {
    const stores = this.pending;
    this.pending = [];
    for (const { kind, offset, gpa, bytes } of stores) {
      if (kind === "device") {
        deviceWrite(this.board, gpa, bytes);
        continue;
      }
      if (kind === "emulated") this.board.emulatedStore(gpa, bytes);
      else this.memory.set(bytes, offset);
      this.onWrite(offset, bytes.length);
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
    const bytes = toBytes(value, size);
    const inPage = 4096 - Number(va & 0xfffn);
    if (size <= inPage) {
      this.storePart(va, bytes, access);
      return;
    }
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
    if (this.fault) return;
    const target = this.translator.data(va, access | ACCESS.write, false);
    if (target.kind === "fault") this.fault ??= target.fault;
    else this.stores.add(target, bytes);
  }
}
