import { Code, guestImage } from "../../machine/guest-code";
import { Code64 } from "./code64";
import * as at from "./layout";

const PRESENT = 0x7n; // P, W, U
const LARGE = 0x80n;

/** A kernel image that enters long mode on prepared tables and runs `body`. */
export function image(body: Uint8Array): Uint8Array {
  return guestImage(
    enterLongMode(),
    { at: at.CODE64, bytes: body },
    { at: at.GDT, bytes: gdt() },
    { at: at.IDT, bytes: idt() },
    { at: at.HANDLERS, bytes: handlers() },
    { at: at.ROOTS[0], bytes: tables() },
    { at: at.FRAMES[0] ?? 0, bytes: frames() },
  );
}

function enterLongMode(): Code {
  const word = (value: number) => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
  return new Code()
    .lgdt(at.GDT)
    .lidt(at.IDT)
    .raw(0xb8, ...word(0x10), 0x8e, 0xd0) // ss = the data segment, for IRETQ
    .raw(0xb8, ...word(0x20), 0x0f, 0x22, 0xe0) // cr4 = PAE
    .raw(0xb8, ...word(at.ROOTS[0]), 0x0f, 0x22, 0xd8)
    .raw(0xb9, ...word(0xc0000080), 0x31, 0xd2, 0xb8, ...word(0x900), 0x0f, 0x30) // EFER = LME, NXE
    .raw(0xb8, ...word(0x80010011), 0x0f, 0x22, 0xc0) // cr0 = PG, WP, ET, PE
    .raw(0xea, ...word(at.CODE64), 8, 0);
}

/** A pseudo-descriptor, then null, 64-bit code (8) and data (16). */
function gdt(): Uint8Array {
  const view = new DataView(new ArrayBuffer(32));
  view.setUint16(0, 23, true);
  view.setUint32(2, at.GDT + 8, true);
  view.setBigUint64(16, 0x00af9b000000ffffn, true);
  view.setBigUint64(24, 0x00cf93000000ffffn, true);
  return new Uint8Array(view.buffer);
}

/** The pseudo-descriptor, then gates for #GP and #PF. */
function idt(): Uint8Array {
  const view = new DataView(new ArrayBuffer(16 + 16 * 32));
  view.setUint16(0, 16 * 32 - 1, true);
  view.setUint32(2, at.IDT + 16, true);
  for (const vector of [13, 14]) {
    const gate = 16 + 16 * vector;
    view.setUint16(gate, at.HANDLERS & 0xffff, true);
    view.setUint16(gate + 2, 8, true);
    view.setUint16(gate + 4, 0x8e00, true);
    view.setUint32(gate + 6, at.HANDLERS >>> 16, true);
  }
  return new Uint8Array(view.buffer);
}

/** Mixes CR2 and the error code into the checksum, and goes on where r15 says. */
function handlers(): Uint8Array {
  return new Code64(at.HANDLERS)
    .raw(0x50) // push rax
    .raw(0x0f, 0x20, 0xd0) // mov rax, cr2
    .mix(0)
    .raw(0x48, 0x8b, 0x44, 0x24, 0x08) // mov rax, [rsp + 8]: the error code
    .mix(0)
    .raw(0x58) // pop rax
    .raw(0x48, 0x83, 0xc4, 0x08) // add rsp, 8
    .raw(0x4c, 0x89, 0x3c, 0x24) // mov [rsp], r15
    .raw(0x48, 0xcf) // iretq
    .build();
}

/** Both roots down to the tested region's level-1 tables, which begin empty. */
function tables(): Uint8Array {
  const first = at.ROOTS[0];
  const last = at.TABLES[at.TABLES.length - 1] ?? 0;
  const view = new DataView(new ArrayBuffer(last + 0x1000 - first));
  const set = (table: number, index: number, value: bigint): void =>
    view.setBigUint64(table - first + 8 * index, value, true);
  for (const root of at.ROOTS) set(root, 0, BigInt(at.PDPT) | PRESENT);
  set(at.PDPT, 0, BigInt(at.PD_LOW) | PRESENT);
  set(at.PDPT, 1, BigInt(at.PD_TEST) | PRESENT);
  for (let i = 0; i < at.MEMORY / 0x200000; i++)
    set(at.PD_LOW, i, BigInt(i * 0x200000) | PRESENT | LARGE);
  for (const [part, table] of at.TABLES.entries()) set(at.PD_TEST, part, BigInt(table) | PRESENT);
  return new Uint8Array(view.buffer);
}

function frames(): Uint8Array {
  const bytes = new Uint8Array(at.FRAMES.length * 0x1000);
  for (let i = 0; i < at.FRAMES.length; i++) bytes.set([0x41, 0xff, 0xe5], i * 0x1000); // jmp r13
  return bytes;
}
