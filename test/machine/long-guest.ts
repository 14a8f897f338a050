import type { Machine, MachineOptions } from "../../src/machine";
import { CR0, CR4, EFER, GPR, gpa, SEG } from "../../src/x86";
import { CODE_AT, Code, guestImage, machineWith } from "./guest-code";

/** Where the tables of a long-mode guest lie; the pages after `top` are the levels below it. */
const TOP = 0x200000;
const TABLE = 0xfffffffffn << 12n;

/** PML5E … PTE bits that a test may want besides P. */
export const PTE = { P: 1n, W: 2n, U: 4n, G: 1n << 8n, NX: 1n << 63n } as const;
export const pkey = (key: number): bigint => BigInt(key) << 59n;

/** An exception as the trace tells it. */
export interface Seen {
  readonly vector: unknown;
  readonly error: unknown;
  readonly cr2: unknown;
}

/**
 * A machine put into 64-bit code at level 0 without a boot: tables of its own, code where `Code` begins
 * (identity mapped, 2 MiB), registers set from outside.
 */
export class LongGuest {
  readonly machine: Machine;
  readonly exceptions: Seen[] = [];
  private nextTable = TOP + 0x1000;

  constructor(
    code: readonly number[],
    options: Partial<MachineOptions> = {},
    private readonly levels: 4 | 5 = 4,
  ) {
    this.machine = machineWith(guestImage(new Code().raw(...code)), options);
    this.map(0n, 0n, PTE.P | PTE.W, 2);
    const { state } = this;
    for (const register of Object.values(GPR)) state.setGpr(register, 0n);
    const flat = { base: 0n, lo: 0, hi: 0xffff_ffff, unusable: false };
    state.setSegment(SEG.cs, { ...flat, selector: 8, attr: 0xa09b });
    for (const data of [SEG.es, SEG.ss, SEG.ds])
      state.setSegment(data, { ...flat, selector: 0x10, attr: 0xc093 });
    state.efer = EFER.LME | EFER.LMA | EFER.NX;
    state.cr3 = BigInt(TOP);
    state.cr4 = CR4.PAE | (levels === 5 ? CR4.LA57 : 0n);
    state.cr0 = CR0.PE | CR0.PG | CR0.WP | CR0.ET;
    state.rip = BigInt(CODE_AT);
    this.machine.trace.on("exception", (event) => {
      const { vector, error, cr2 } = event.fields;
      this.exceptions.push({ vector, error, cr2 });
      this.machine.requestStop(event, "exception");
    });
  }

  get state() {
    return this.machine.vcpus[0]!.state;
  }
  get retired(): number {
    return this.machine.vcpus[0]!.retired;
  }

  /** Maps the page at `va`: `entry` holds address and bits of the leaf, tables above grant everything. */
  map(va: bigint, at: bigint, bits: bigint, level = 1): void {
    let table = TOP;
    for (let above = this.levels; above > level; above--) {
      const slot = table + 8 * this.index(va, above);
      let entry = this.quad(slot);
      if (!(entry & PTE.P)) {
        entry = BigInt(this.nextTable) | PTE.P | PTE.W | PTE.U;
        this.nextTable += 0x1000;
        this.write(slot, entry);
      }
      table = Number(entry & TABLE);
    }
    this.write(table + 8 * this.index(va, level), at | bits | (level > 1 ? 0x80n : 0n));
  }

  /** The entry that maps the 4 KiB page at `va`, as it is now. */
  leaf(va: bigint): bigint {
    let table = TOP;
    for (let level = this.levels as number; level > 1; level--)
      table = Number(this.quad(table + 8 * this.index(va, level)) & TABLE);
    return this.quad(table + 8 * this.index(va, 1));
  }
  private index(va: bigint, level: number): number {
    return Number((va >> BigInt(3 + 9 * level)) & 0x1ffn);
  }
  quad(at: number): bigint {
    const bytes = this.machine.gpa.read(gpa(at), 8);
    return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  }
  write(at: number, value: bigint): void {
    this.machine.gpa.write(gpa(at), new Uint8Array(BigUint64Array.of(value).buffer));
  }
}
