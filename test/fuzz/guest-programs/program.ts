import { Random } from "../random";
import { Code64 } from "./code64";
import * as at from "./layout";

const RAX = 0;
const RCX = 1;
const RDI = 7;
const R13 = 13;
const R14 = 14;
const NX = 1n << 63n;
const LARGE = 1n << 7n;

/** Draws what a program does. */
class Draw {
  private readonly random: Random;
  constructor(seed: number) {
    this.random = new Random(seed);
  }
  below(limit: number): number {
    return this.random.u32() % limit;
  }
  pick<T>(list: readonly T[]): T {
    const item = list[this.below(list.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }
  u64(): bigint {
    return (BigInt(this.random.u32()) << 32n) | BigInt(this.random.u32());
  }
}

/** One operation: appends its instructions. */
type Operation = (code: Code64, draw: Draw) => void;

/** Loads of each size, from [rdi] into rcx (cleared first). */
const LOADS: readonly (readonly number[])[] = [
  [0x8a, 0x0f],
  [0x66, 0x8b, 0x0f],
  [0x8b, 0x0f],
  [0x48, 0x8b, 0x0f],
];
/** Stores and read-modify-writes of [rdi] with rax (and rcx). */
const STORES: readonly (readonly number[])[] = [
  [0x88, 0x07], // mov byte
  [0x66, 0x89, 0x07],
  [0x89, 0x07],
  [0x48, 0x89, 0x07],
  [0x48, 0x87, 0x07], // xchg
  [0x48, 0x09, 0x07], // or
  [0x48, 0x21, 0x07], // and
  [0xf0, 0x48, 0x0f, 0xba, 0x2f, 0x01], // lock bts qword [rdi], 1
  [0xf0, 0x48, 0x0f, 0xba, 0x37, 0x05], // lock btr qword [rdi], 5
  [0xf0, 0x48, 0x0f, 0xb1, 0x0f], // lock cmpxchg [rdi], rcx
  [0xf0, 0x48, 0x0f, 0xc1, 0x07], // lock xadd
  [0x48, 0xf7, 0x1f], // neg
];

const address = (draw: Draw): bigint =>
  at.pageAt(draw.below(at.TABLES.length), draw.below(at.PAGES)) +
  BigInt(at.CODE_BYTES + draw.below(0x1000 - at.CODE_BYTES - 8));

const load: Operation = (code, draw) => {
  code.load(RDI, address(draw)).load(RCX, 0n);
  code.risky(...draw.pick(LOADS)).mix(RCX);
};

const store: Operation = (code, draw) => {
  code.load(RDI, address(draw)).load(RAX, draw.u64()).load(RCX, draw.u64());
  code.risky(...draw.pick(STORES)).mix(RAX);
};

/** Jumps to the start of a page; the code there comes back through r13. */
const fetch: Operation = (code, draw) => {
  code.load(RDI, at.pageAt(draw.below(at.TABLES.length), draw.below(at.PAGES)));
  // lea r13, [rip + 9 + 2]: behind the jump (and behind the lea of `risky`)
  code.raw(0x4c, 0x8d, 0x2d, 9, 0, 0, 0);
  code.risky(0xff, 0xe7); // jmp rdi
  code.mix(RDI);
};

/** A level-1 entry: mostly present, of any rights, sometimes with a reserved bit. */
function leaf(draw: Draw): bigint {
  if (draw.below(5) === 0) return 0n;
  const flags = BigInt(draw.below(0x80) | (draw.below(4) === 0 ? 0 : 1)) & 0x67n;
  const nx = draw.below(4) === 0 ? NX : 0n;
  const reserved = draw.below(12) === 0 ? 1n << 51n : 0n;
  return BigInt(draw.pick(at.FRAMES)) | flags | nx | reserved;
}

/** Writes a level-1 entry in one of the ways a kernel might, then flushes what it may have changed. */
const setLeaf: Operation = (code, draw) => {
  const page = draw.below(at.PAGES);
  const entry = BigInt(draw.pick(at.TABLES) + 8 * page);
  const value = leaf(draw);
  code.load(RDI, entry).load(RAX, value);
  switch (draw.below(6)) {
    case 0: // push: the stack pointer is the table for a moment
      code
        .load(R14, entry + 8n)
        .raw(0x49, 0x87, 0xe6)
        .raw(0x50)
        .raw(0x4c, 0x89, 0xf4);
      break;
    case 1: // rep stosq over this entry and the next
      code.load(RCX, 2n).raw(0xf3, 0x48, 0xab);
      break;
    case 2: // the low half alone
      code.raw(0x89, 0x07);
      break;
    case 3: // one right taken or given with a byte
      code.raw(0x80, 0x37, draw.pick([0x02, 0x04, 0x20, 0x40]));
      break;
    case 4:
      code.raw(0xf0, 0x48, 0x87, 0x07);
      break;
    default:
      code.raw(0x48, 0x89, 0x07);
  }
  flush(code, draw, [page, page + 1]);
};

/** Links a table, a large page or nothing into the tested region's directory. */
const setDirectory: Operation = (code, draw) => {
  const part = draw.below(at.TABLES.length);
  const rights = BigInt(draw.pick([0x3, 0x7, 0x5, 0x1, 0x67]));
  const nx = draw.below(6) === 0 ? NX : 0n;
  const linked = BigInt(draw.pick(at.TABLES)) | rights | nx;
  const large = BigInt(at.LARGE_FRAME) | LARGE | rights | NX;
  const entry = [0n, large, linked, linked, linked, linked][draw.below(6)] ?? 0n;
  code.load(RDI, BigInt(at.PD_TEST + 8 * part)).load(RAX, entry);
  code.raw(
    ...draw.pick([
      [0x48, 0x89, 0x07],
      [0x48, 0x87, 0x07],
    ]),
  );
  code.cr3(draw.pick(at.ROOTS));
};

/** Any table of the region may be linked several times, so a page has an address in each part. */
function flush(code: Code64, draw: Draw, pages: readonly number[]): void {
  if (draw.below(2) === 0) {
    code.cr3(draw.pick(at.ROOTS));
    return;
  }
  for (const page of pages)
    for (let part = 0; part < at.TABLES.length; part++) code.invlpg(at.pageAt(part, page));
}

const switchRoot: Operation = (code, draw) => {
  code.cr3(draw.pick(at.ROOTS));
};

/** mov rax, cr0; btc eax, 16; mov cr0, rax */
const toggleWriteProtect: Operation = (code) => {
  code.raw(0x0f, 0x20, 0xc0, 0x0f, 0xba, 0xf8, 16, 0x0f, 0x22, 0xc0);
};

/** What a program is made of, the commoner the more often it stands here. */
const OPERATIONS: readonly Operation[] = [
  load,
  load,
  load,
  load,
  store,
  store,
  store,
  store,
  store,
  fetch,
  fetch,
  setLeaf,
  setLeaf,
  setLeaf,
  setLeaf,
  setDirectory,
  switchRoot,
  toggleWriteProtect,
];

/** A program of `length` operations that ends at the debug-exit port. */
export function program(seed: number, length: number): Uint8Array {
  const draw = new Draw(seed);
  const code = new Code64(at.CODE64).load(4, BigInt(at.STACK_TOP)).load(3, 0n).load(R13, 0n);
  for (const [part, table] of at.TABLES.entries())
    for (let page = 0; page < at.PAGES; page++) {
      const frame = BigInt(at.FRAMES[(part * at.PAGES + page) % at.FRAMES.length] ?? 0);
      code
        .load(RDI, BigInt(table + 8 * page))
        .load(RAX, frame | 7n)
        .raw(0x48, 0x89, 0x07);
    }
  code.cr3(at.ROOTS[0]);
  for (let n = 0; n < length; n++) draw.pick(OPERATIONS)(code, draw);
  // mov edx, 0xf4; mov eax, 0; out dx, eax
  return code.raw(0xba, 0xf4, 0, 0, 0, 0x31, 0xc0, 0xef).build();
}
