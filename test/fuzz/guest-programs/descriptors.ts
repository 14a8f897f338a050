import { Assembler, EAX } from "./assembler";
import * as at from "./layout";

/** Selectors; ring 3 uses its own with RPL 3. */
export const SELECTOR = { code: 0x08, data: 0x10, userCode: 0x1b, userData: 0x23 } as const;
export const tssSelector = (vcpu: number): number => 0x28 + 16 * vcpu;

const VECTORS = { protection: 13, pageFault: 14, leaveUser: 0x80 } as const;
const FAULT_HANDLER = at.HANDLERS;
const LEAVE_HANDLER = at.HANDLERS + 0x200;

/** Access bytes and flags (SDM 3A 3.4.5): code is 64-bit in the long modes. */
const accessOf = (user: boolean, code: boolean): number =>
  (user ? 0xf0 : 0x90) | (code ? 0xb : 0x3);

/** GDT: null, kernel code and data, user code and data, a TSS for each vCPU. */
export function gdt(mode: at.PagedMode, vcpus: number): Uint8Array {
  const long = at.isLong(mode);
  const view = new DataView(new ArrayBuffer(0x28 + 16 * vcpus));
  const flat = (index: number, user: boolean, code: boolean): void => {
    view.setUint32(8 * index, 0x0000ffff, true);
    const flags = code && long ? 0xaf : 0xcf;
    view.setUint32(8 * index + 4, (flags << 16) | (accessOf(user, code) << 8), true);
  };
  flat(1, false, true);
  flat(2, false, false);
  flat(3, true, true);
  flat(4, true, false);
  for (let vcpu = 0; vcpu < vcpus; vcpu++) {
    const base = tssOf(vcpu);
    const offset = tssSelector(vcpu);
    view.setUint32(offset, 0x67 | ((base & 0xffff) << 16), true);
    view.setUint32(offset + 4, (base & 0xff000000) | ((base >>> 16) & 0xff) | (0x8b << 8), true);
  }
  return new Uint8Array(view.buffer);
}

export const tssOf = (vcpu: number): number => at.TSS + 0x1000 * vcpu;

/** A TSS with nothing but the stack of ring 0; behind it an INVPCID descriptor of zeros. */
export function tss(mode: at.PagedMode, vcpu: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(0x1000));
  view.setUint32(4, at.stackTop(vcpu), true);
  // The 32-bit form has SS0 where the 64-bit one has the upper half of RSP0.
  if (!at.isLong(mode)) view.setUint32(8, SELECTOR.data, true);
  return new Uint8Array(view.buffer);
}

export function idt(mode: at.PagedMode): Uint8Array {
  const size = at.isLong(mode) ? 16 : 8;
  const view = new DataView(new ArrayBuffer(size * 256));
  const gate = (vector: number, handler: number, dpl: number): void => {
    view.setUint16(size * vector, handler & 0xffff, true);
    view.setUint16(size * vector + 2, SELECTOR.code, true);
    view.setUint16(size * vector + 4, 0x8e00 | (dpl << 13), true);
    view.setUint16(size * vector + 6, handler >>> 16, true);
  };
  gate(VECTORS.protection, FAULT_HANDLER, 0);
  gate(VECTORS.pageFault, FAULT_HANDLER, 0);
  gate(VECTORS.leaveUser, LEAVE_HANDLER, 3);
  return new Uint8Array(view.buffer);
}

/**
 * Faults mix CR2, error code and CS into the checksum and go on where ebp says; the software interrupt
 * goes on in ring 0, behind itself, on an empty stack.
 */
export function handlers(mode: at.PagedMode): Uint8Array {
  const word = at.isLong(mode) ? 8 : 4;
  const fault = new Assembler(mode, FAULT_HANDLER)
    .raw(0x50) // push eax
    .raw(0x0f, 0x20, 0xd0) // mov eax, cr2
    .mix(EAX)
    .wide(0x8b, 0x44, 0x24, word) // the error code
    .mix(EAX)
    .wide(0x8b, 0x44, 0x24, 3 * word) // CS
    .mix(EAX)
    .raw(0x58) // pop eax
    .wide(0x83, 0xc4, word) // the error code goes
    .wide(0x89, 0x2c, 0x24) // mov [esp], ebp
    .wide(0xcf) // iret
    .build();
  const leave = new Assembler(mode, LEAVE_HANDLER)
    .raw(0x58) // pop eax: where ring 3 was
    .wide(0x83, 0xc4, 4 * word) // back to the top of the stack
    .raw(0x2d) // sub eax, imm32
    .u32(at.USER_ALIAS)
    .raw(0xff, 0xe0) // jmp eax
    .build();
  const bytes = new Uint8Array(0x400);
  bytes.set(fault);
  bytes.set(leave, LEAVE_HANDLER - FAULT_HANDLER);
  return bytes;
}
