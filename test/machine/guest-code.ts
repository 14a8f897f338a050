import { createMachine, type Machine, type MachineOptions } from "../../src/machine";
import { buildElf, concat, multibootHeader } from "./elf-builder";

/** Where guest programs are loaded; the code begins after the multiboot header. */
export const LOAD_AT = 0x100000;
export const CODE_AT = LOAD_AT + 12;

/** 32-bit machine code under construction: each method appends one or a few instructions. */
export class Code {
  private readonly bytes: number[] = [];

  constructor(private readonly base: number = CODE_AT) {}

  /** Address of the next instruction. */
  get here(): number {
    return this.base + this.bytes.length;
  }
  raw(...bytes: number[]): this {
    this.bytes.push(...bytes);
    return this;
  }
  private u32(value: number): this {
    return this.raw(
      value & 0xff,
      (value >>> 8) & 0xff,
      (value >>> 16) & 0xff,
      (value >>> 24) & 0xff,
    );
  }

  /** mov edx, port; mov al, value; out dx, al */
  out8(port: number, value: number): this {
    return this.raw(0xba).u32(port).raw(0xb0, value, 0xee);
  }
  /** mov edx, port; mov eax, value; out dx, eax */
  out32(port: number, value: number): this {
    return this.raw(0xba).u32(port).raw(0xb8).u32(value).raw(0xef);
  }
  print(text: string): this {
    for (const c of text) this.out8(0x3f8, c.charCodeAt(0));
    return this;
  }
  exit(value: number): this {
    return this.out32(0xf4, value);
  }
  /** mov dword [address], value */
  store(address: number, value: number): this {
    return this.raw(0xc7, 0x05).u32(address).u32(value);
  }
  /** inc dword [address] */
  increment(address: number): this {
    return this.raw(0xff, 0x05).u32(address);
  }
  /** cmp dword [address], value; jb target */
  loopWhileBelow(address: number, value: number, target: number): this {
    this.raw(0x81, 0x3d).u32(address).u32(value);
    return this.raw(0x72, (target - this.here - 2) & 0xff);
  }
  nop(count = 1): this {
    return this.raw(...new Array<number>(count).fill(0x90));
  }
  get hlt(): this {
    return this.raw(0xf4);
  }
  get sti(): this {
    return this.raw(0xfb);
  }
  get ud2(): this {
    return this.raw(0x0f, 0x0b);
  }
  /** mov esp, value */
  stack(value: number): this {
    return this.raw(0xbc).u32(value);
  }
  /** lgdt / lidt [address] */
  lgdt(address: number): this {
    return this.raw(0x0f, 0x01, 0x15).u32(address);
  }
  lidt(address: number): this {
    return this.raw(0x0f, 0x01, 0x1d).u32(address);
  }
  /** mov ecx, count; dec ecx; jnz: 1 + 2 × count instructions */
  spin(count: number): this {
    return this.raw(0xb9).u32(count).raw(0x49, 0x75, 0xfd);
  }
  jmp(target: number): this {
    return this.raw(0xeb, (target - this.here - 2) & 0xff);
  }
  get iret(): this {
    return this.raw(0xcf);
  }

  build(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }
}

/** A multiboot guest made of this code, with more bytes at other physical addresses. */
export function guestImage(code: Code, ...more: { at: number; bytes: Uint8Array }[]): Uint8Array {
  return buildElf({
    bits: 32,
    entry: CODE_AT,
    segments: [
      { physical: LOAD_AT, bytes: concat(multibootHeader(), code.build()) },
      ...more.map(({ at, bytes }) => ({ physical: at, bytes })),
    ],
  });
}

/** A machine of 4 MiB with this guest. */
export function machineWith(image: Uint8Array, options: Partial<MachineOptions> = {}): Machine {
  const created = createMachine({
    image,
    imageName: "guest",
    memory: 4 * 2 ** 20,
    vcpus: 1,
    mmu: "none",
    era: "modern",
    ...options,
  });
  if (created.kind === "refused") throw new Error(created.text);
  return created.machine;
}

/** Collects what the guest prints. */
export function outputOf(machine: Machine): { text: string } {
  const output = { text: "" };
  machine.onOutput((bytes) => {
    output.text += String.fromCharCode(...bytes);
  });
  return output;
}

const CODE_SELECTOR = 0x08;

/** A GDT with flat code (8) and data (16), and its pseudo-descriptor in front. */
export function flatGdt(at: number): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(32));
  bytes.setUint16(0, 23, true);
  bytes.setUint32(2, at + 8, true);
  bytes.setBigUint64(16, 0x00cf9b000000ffffn, true);
  bytes.setBigUint64(24, 0x00cf93000000ffffn, true);
  return new Uint8Array(bytes.buffer);
}

/** A 32-bit IDT of 256 gates, empty but for `handlers`, and its pseudo-descriptor in front. */
export function idt(at: number, handlers: Readonly<Record<number, number>>): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(8 + 2048));
  bytes.setUint16(0, 2047, true);
  bytes.setUint32(2, at + 8, true);
  for (const [vector, handler] of Object.entries(handlers)) {
    const gate = 8 + 8 * Number(vector);
    bytes.setUint16(gate, handler & 0xffff, true);
    bytes.setUint16(gate + 2, CODE_SELECTOR, true);
    bytes.setUint16(gate + 4, 0x8e00, true);
    bytes.setUint16(gate + 6, handler >>> 16, true);
  }
  return new Uint8Array(bytes.buffer);
}
