import { CR4 } from "../../../src/x86";
import { Random } from "../random";
import { Assembler, EAX, ECX, EDI, ESI, ESP } from "./assembler";
import { SELECTOR } from "./descriptors";
import type { GuestProgram } from "./guest";
import * as at from "./layout";
import { directoryEntries } from "./tables";

const NX = 1n << 63n;
const LARGE = 0x80n;
const INVPCID_ALL = 2;

/** What an instruction needs from where it runs: ring 3 sees its code elsewhere. */
interface Place {
  readonly code: Assembler;
  readonly random: Random;
  /** Where the code runs, less where it is assembled for. */
  readonly offset: number;
}

/** One operation: appends its instructions. */
type Operation = (place: Place) => void;

/** Loads of each size, from [edi] into ecx (cleared first). */
const LOADS: readonly (readonly number[])[] = [
  [0x8a, 0x0f],
  [0x66, 0x8b, 0x0f],
  [0x8b, 0x0f],
];
/** Stores and read-modify-writes of [edi] with eax and ecx. */
const STORES: readonly (readonly number[])[] = [
  [0x88, 0x07], // mov byte
  [0x66, 0x89, 0x07],
  [0x89, 0x07],
  [0x87, 0x07], // xchg
  [0x09, 0x07], // or
  [0x21, 0x07], // and
  [0xf0, 0x0f, 0xba, 0x2f, 0x01], // lock bts dword [edi], 1
  [0xf0, 0x0f, 0xba, 0x37, 0x05], // lock btr dword [edi], 5
  [0xf0, 0x0f, 0xb1, 0x0f], // lock cmpxchg [edi], ecx
  [0xf0, 0x0f, 0xc1, 0x07], // lock xadd
  [0xf7, 0x1f], // neg
];

const anyPage = ({ code, random }: Place): number =>
  at.pageAt(code.mode, random.below(at.TABLES.length), random.below(at.PAGES));
const anyAddress = (place: Place): number =>
  anyPage(place) + at.CODE_BYTES + place.random.below(0x1000 - at.CODE_BYTES - 8);
const value = ({ code, random }: Place): bigint =>
  at.isLong(code.mode) ? random.u64() : random.u64() & 0xffffffffn;
/** The instruction as wide as registers are, half of the time. */
const sized = ({ code, random }: Place, bytes: readonly number[]): readonly number[] => {
  const lock = bytes[0] === 0xf0 ? [0xf0] : [];
  const plain = bytes.slice(lock.length);
  const wide = at.isLong(code.mode) && plain[0] !== 0x66 && random.oneIn(2);
  return wide ? [...lock, 0x48, ...plain] : bytes;
};

const load: Operation = (place) => {
  const { code, random, offset } = place;
  code.load32(EDI, anyAddress(place)).load32(ECX, 0);
  code.risky(offset, ...sized(place, random.pick(LOADS))).mix(ECX);
};

const store: Operation = (place) => {
  const { code, random, offset } = place;
  code.load32(EDI, anyAddress(place)).load(EAX, value(place)).load(ECX, value(place));
  code.risky(offset, ...sized(place, random.pick(STORES))).mix(EAX);
};

/** Jumps to the start of a page; the code there comes back through esi. */
const fetch: Operation = (place) => {
  const { code, offset } = place;
  code.load32(EDI, anyPage(place));
  // Behind the load of ebp and the jump.
  code.load32(ESI, code.here + 5 + 5 + 2 + offset);
  code.risky(offset, 0xff, 0xe7).mix(EDI); // jmp edi
};

/** Goes to ring 3, does a few things there, and comes back by a software interrupt. */
const visitUser: Operation = (place) => {
  const { code, random } = place;
  code.raw(0x6a, SELECTOR.userData); // push ss
  code.raw(0x68).u32(at.REGION + 0x800); // push esp: user code here never uses its stack
  code.raw(0x6a, random.oneIn(4) ? 0x02 : 0x06); // push eflags
  code.raw(0x6a, SELECTOR.userCode);
  const long = at.isLong(code.mode);
  // The address is above 2 GiB, which a push would extend with ones: through eax.
  const next = code.here + 5 + 1 + (long ? 2 : 1);
  code
    .load32(EAX, next + at.USER_ALIAS)
    .raw(0x50)
    .wide(0xcf);
  const inside = { ...place, offset: at.USER_ALIAS };
  for (let i = 1 + random.below(6); i > 0; i--) random.pick(USES)(inside);
  code.raw(0xcd, 0x80);
};

/** What ring 3 may do as well as ring 0. */
const USES: readonly Operation[] = [load, load, load, store, store, store, fetch];

const flipWriteProtect: Operation = ({ code }) => {
  code.flipControl(0, 16);
};
const flipCr4: Operation = ({ code, random }) => {
  const bits = [CR4.SMEP, CR4.SMAP, CR4.PGE, ...(at.isLong(code.mode) ? [CR4.PCIDE] : [])];
  const bit = Math.log2(Number(random.pick(bits)));
  // PCIDE may be set only while the PCID is 0, which the roots in use here all have.
  code.flipControl(4, bit);
};
/** rdmsr, btc eax, 11, wrmsr */
const flipNx: Operation = ({ code }) => {
  code.load32(ECX, 0xc0000080).raw(0x0f, 0x32, 0x0f, 0xba, 0xf8, 11, 0x0f, 0x30);
};
/** clac, stac */
const setAc: Operation = ({ code, random }) => {
  code.raw(0x0f, 0x01, random.oneIn(2) ? 0xca : 0xcb);
};
const switchRoot: Operation = ({ code, random }) => {
  code.cr3(random.pick(at.ROOTS));
};

/** Between two barriers all vCPUs use the tables, and none changes them. */
const PHASE: readonly Operation[] = [
  ...USES,
  ...USES,
  visitUser,
  visitUser,
  visitUser,
  switchRoot,
  flipWriteProtect,
  flipCr4,
  flipNx,
  setAc,
];

/** A level-1 entry: mostly present, of any rights, sometimes with a reserved bit or a global page. */
function leaf({ code, random }: Place): bigint {
  if (random.oneIn(5)) return 0n;
  const flags = BigInt(random.below(0x80) | (random.oneIn(4) ? 0 : 1)) & 0x67n;
  const wide = at.entryBytes(code.mode) === 8;
  const nx = wide && random.oneIn(4) ? NX : 0n;
  const reserved = wide && random.oneIn(12) ? 1n << 51n : 0n;
  const global = random.oneIn(6) ? 0x100n : 0n;
  return BigInt(random.pick(at.FRAMES)) | flags | nx | reserved | global;
}

/** Stores an entry in one of the ways a kernel might. Two halves never make an entry that was not meant. */
function storeEntry({ code, random }: Place, address: number, entry: bigint): void {
  const bytes = at.entryBytes(code.mode);
  if (bytes === 8 && !at.isLong(code.mode)) {
    code.store32(address, 0);
    code.store32(address + 4, Number(entry >> 32n));
    code.store32(address, Number(entry & 0xffffffffn));
    return;
  }
  code.load32(EDI, address).load(EAX, entry);
  switch (random.below(6)) {
    case 0: // push: the stack pointer is the table for a moment
      code.load32(ESI, address + bytes);
      code
        .wide(0x87, 0xe6)
        .raw(0x50)
        .wide(0x89, 0xf0 | ESP);
      break;
    case 1: // rep stos over this entry and the next
      code.load32(ECX, 2).raw(0xf3).wide(0xab);
      break;
    case 2: // the low half alone
      code.raw(0x89, 0x07);
      break;
    case 3: // one right taken or given with a byte
      code.raw(0x80, 0x37, random.pick([0x02, 0x04, 0x20, 0x40]));
      break;
    case 4:
      if (bytes === 8) code.raw(0xf0, 0x48, 0x87, 0x07);
      else code.raw(0xf0, 0x87, 0x07);
      break;
    default:
      code.wide(0x89, 0x07);
  }
}

const setLeaf: Operation = (place) => {
  const { code, random } = place;
  const page = random.below(at.PAGES);
  const table = random.pick(at.TABLES);
  storeEntry(place, table + at.entryBytes(code.mode) * page, leaf(place));
};

/**
 * Links a table, a large page or nothing into the tested region's directory. Where each root has its own
 * they are written alike: a global page that differs between roots may be seen by either, as a TLB has it.
 */
const setDirectory: Operation = (place) => {
  const { code, random } = place;
  const wide = at.entryBytes(code.mode) === 8;
  const rights = BigInt(random.pick([0x3, 0x7, 0x5, 0x1, 0x67]));
  const nx = wide && random.oneIn(6) ? NX : 0n;
  const linked = BigInt(random.pick(at.TABLES)) | rights | nx;
  const large = BigInt(at.LARGE_FRAME) | LARGE | rights | (wide ? NX : 0n);
  const entry = random.pick([0n, large, linked, linked, linked, linked]);
  const way = random.u32();
  for (const address of directoryEntries(code.mode, random.below(at.TABLES.length)))
    storeEntry({ ...place, random: new Random(way) }, address, entry);
};

const CHANGES: readonly Operation[] = [setLeaf, setLeaf, setLeaf, setLeaf, setDirectory];

/** Forgets every translation, global ones too, in each PCID. */
function flushAll(code: Assembler, vcpu: number): void {
  code.flipControl(4, 7).flipControl(4, 7);
  code.load32(ECX, INVPCID_ALL).load32(EDI, at.TSS + 0x1000 * vcpu + at.DESCRIPTOR);
  code.raw(0x66, 0x0f, 0x38, 0x82, 0x0f); // invpcid ecx, [edi]
}

/** One vCPU of several waits until all have come: lock inc [counter]; loop while fewer. */
function barrier(code: Assembler, n: number, vcpus: number): void {
  if (vcpus === 1) return;
  code.load32(EDI, at.BARRIERS + 4 * n).raw(0xf0, 0xff, 0x07);
  code.raw(0xf3, 0x90, 0x83, 0x3f, vcpus, 0x72, 0xf9); // pause; cmp dword [edi], vcpus; jb
}

/** One operation of a program, as a number: what it does follows from its seed. */
export interface PlannedOperation {
  readonly phase: number;
  readonly vcpu: number;
  /** Changes the tables while the others wait, or uses them when all do. */
  readonly what: "change" | "use";
  readonly seed: number;
}

/** A program as data: any part of its operations is a program too. */
export interface Plan {
  readonly mode: at.PagedMode;
  readonly vcpus: number;
  readonly phases: number;
  readonly operations: readonly PlannedOperation[];
}

/** In each phase one vCPU, in turns, changes the tables, then all use them. */
export function makePlan(seed: number, shape: Omit<Plan, "operations">): Plan {
  const random = new Random(seed);
  const operations: PlannedOperation[] = [];
  const add = (phase: number, vcpu: number, what: "change" | "use", count: number): void => {
    for (let i = 0; i < count; i++) operations.push({ phase, vcpu, what, seed: random.u32() });
  };
  for (let phase = 0; phase < shape.phases; phase++) {
    add(phase, phase % shape.vcpus, "change", 1 + random.below(5));
    for (let vcpu = 0; vcpu < shape.vcpus; vcpu++) add(phase, vcpu, "use", 2 + random.below(6));
  }
  return { ...shape, operations };
}

/** The code of a plan, for each vCPU; the first ends the machine. */
export function assemble({ mode, vcpus, phases, operations }: Plan): GuestProgram {
  const codes = Array.from({ length: vcpus }, (_, vcpu) => new Assembler(mode, at.codeOf(vcpu)));
  const emit = (phase: number, what: "change" | "use", deck: readonly Operation[]): void => {
    for (const one of operations) {
      if (one.phase !== phase || one.what !== what) continue;
      const random = new Random(one.seed);
      random.pick(deck)({ code: codes[one.vcpu]!, random, offset: 0 });
    }
  };
  fillTables(codes[0]!);
  for (let phase = 0; phase < phases; phase++) {
    emit(phase, "change", CHANGES);
    for (const code of codes) barrier(code, 2 * phase, vcpus);
    for (const [vcpu, code] of codes.entries()) flushAll(code, vcpu);
    emit(phase, "use", PHASE);
    for (const code of codes) barrier(code, 2 * phase + 1, vcpus);
  }
  // mov edx, 0xf4; xor eax, eax; out dx, eax; the others wait for that
  for (const [vcpu, code] of codes.entries())
    if (vcpu === 0) code.raw(0xba, 0xf4, 0, 0, 0, 0x31, 0xc0, 0xef);
    else code.raw(0xf3, 0x90, 0xeb, 0xfc);
  return { mode, code: codes.map((code) => code.build()) };
}

/** Every page of the tested region maps a frame at first. */
function fillTables(code: Assembler): void {
  const bytes = at.entryBytes(code.mode);
  for (const [part, table] of at.TABLES.entries())
    for (let page = 0; page < at.PAGES; page++) {
      const frame = at.FRAMES[(part * at.PAGES + page) % at.FRAMES.length] ?? 0;
      code.store32(table + bytes * page, frame | 7);
    }
}
