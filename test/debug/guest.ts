import { type Scope, Symbols } from "../../src/debug";
import { leafOf } from "../../src/debug/inspect/guest-walk";
import type { Machine, MachineOptions, VcpuView } from "../../src/machine";
import { CpuState, CR0, CR4, EFER, type Gpa, gpa, gva, S, SEG, Trace } from "../../src/x86";

const RAM = 0x80000;
const ROOT = 0x1000;

/**
 * A stopped 64-bit guest made by hand: RAM from gpa 0, four-level tables from 0x1000 on. What a test
 * does not need of a machine is not there.
 */
export class Guest {
  readonly ram = new Uint8Array(RAM);
  readonly trace = new Trace();
  readonly stops: { text: string; event: string }[] = [];
  readonly state = new CpuState(new WebAssembly.Memory({ initial: 4 }), 0);
  symbols = new Symbols();
  private nextTable = ROOT + 0x1000;

  constructor() {
    this.state.cr0 = CR0.PE | CR0.PG | CR0.WP;
    this.state.cr4 = CR4.PAE;
    this.state.efer = EFER.LME | EFER.LMA | EFER.NX;
    this.state.cr3 = BigInt(ROOT);
    this.state.rflags = 2n;
    const code = this.state.segment(SEG.cs);
    this.state.setSegment(SEG.cs, { ...code, attr: 0xa09b });
  }

  /** Maps one page; flags from "wu" and "n" for no execution. Tables on the way get all rights. */
  map(va: number | bigint, to: number, flags = ""): this {
    const table = this.tableFor(BigInt(va), 1);
    const bits = 1n | (flags.includes("w") ? 2n : 0n) | (flags.includes("u") ? 4n : 0n);
    const nx = flags.includes("n") ? 1n << 63n : 0n;
    this.setEntry(table, BigInt(va), 1, BigInt(to) | bits | nx);
    return this;
  }

  /** Maps 2 MiB. */
  mapLarge(va: number, to: number): this {
    this.setEntry(this.tableFor(BigInt(va), 2), BigInt(va), 2, BigInt(to) | 0x83n);
    return this;
  }

  write(at: number, bytes: ArrayLike<number>): this {
    this.ram.set(bytes, at);
    return this;
  }
  u64(at: number, value: bigint): this {
    new DataView(this.ram.buffer).setBigUint64(at, value, true);
    return this;
  }

  get machine(): Machine {
    const view: VcpuView = {
      id: 0,
      state: this.state,
      retired: 0,
      activity: "running",
      pending: undefined,
    };
    const physical = {
      read: (at: Gpa, length: number) =>
        this.ram.slice(at, Math.max(at, Math.min(RAM, at + length))),
      write: () => 0,
      nextMapped: (at: Gpa) => (at < RAM ? at : undefined),
    };
    const machine = {
      options: {} as MachineOptions,
      trace: this.trace,
      vcpus: [view],
      vm: undefined,
      tick: 81233,
      current: 0,
      pagingFeatures: { physicalBits: 40, gigabytePages: true, pse36: true, amd: false },
      gpa: physical,
      gva: (vcpu: number, root?: Gpa) => ({
        read: (at: bigint, length: number) => this.readLinear(machine, vcpu, at, length, root),
      }),
      requestStop: (event: { name: string }, text: string) => {
        this.stops.push({ text, event: event.name });
      },
    } as unknown as Machine; // a machine as far as the debugger's readers look
    return machine;
  }

  get scope(): Scope {
    return { machine: this.machine, symbols: this.symbols, vcpu: 0 };
  }

  private readLinear(m: Machine, vcpu: number, at: bigint, length: number, root?: Gpa): Uint8Array {
    const bytes: number[] = [];
    for (let i = 0; i < length; i++) {
      const { outcome } = leafOf(m, vcpu, gva(at + BigInt(i)), root);
      if (outcome.kind !== "translation" || outcome.to >= RAM) break;
      bytes.push(this.ram[outcome.to] ?? 0);
    }
    return Uint8Array.from(bytes);
  }

  private tableFor(va: bigint, level: number): number {
    let table = ROOT;
    for (let at = 4; at > level; at--) {
      const present = this.entry(table, va, at);
      if (!(present & 1n)) {
        this.setEntry(table, va, at, BigInt(this.nextTable) | 7n);
        this.nextTable += 0x1000;
      }
      table = Number(this.entry(table, va, at) & 0xffff_f000n);
    }
    return table;
  }
  private index(va: bigint, level: number): number {
    return Number((va >> BigInt(12 + 9 * (level - 1))) & 511n);
  }
  private entry(table: number, va: bigint, level: number): bigint {
    return new DataView(this.ram.buffer).getBigUint64(table + 8 * this.index(va, level), true);
  }
  private setEntry(table: number, va: bigint, level: number, value: bigint): void {
    this.u64(table + 8 * this.index(va, level), value);
  }
}

export const guest = (): Guest => new Guest();

/** The segments of an ELF fixture at the addresses they are linked for, mapped one to one. */
export function withImage(bytes: Uint8Array, symbols: Symbols): Guest {
  const made = guest();
  made.symbols = symbols;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offset = Number(view.getBigUint64(32, true));
  let frame = 0x20000;
  for (let i = 0; i < view.getUint16(56, true); i++) {
    const at = offset + 56 * i;
    if (view.getUint32(at, true) !== 1) continue;
    const from = Number(view.getBigUint64(at + 8, true));
    const va = Number(view.getBigUint64(at + 16, true));
    const size = Number(view.getBigUint64(at + 32, true));
    const first = va & ~0xfff;
    const into = frame + (va - first);
    made.write(into, bytes.subarray(from, from + size));
    for (let page = 0; page <= size + (va - first); page += 0x1000) {
      made.map(first + page, frame, "w");
      frame += 0x1000;
    }
  }
  return made;
}

export { gpa, S };
