import { ALLOW, type Board, type FaultOutcome, type Refill } from "../../../../src/x86/cpu/board";

const PAGE = 4096;

/** What a test may say about one page; RAM at its own number otherwise. */
export interface PageRule {
  readonly kind: "ram" | "device" | "missing";
  /** Page of the board's RAM behind it. */
  readonly frame?: number;
  readonly readOnly?: boolean;
}

/**
 * A board with RAM at `base` of the wasm memory, identity-mapped, and whatever else a test asks for: pages
 * that are missing or devices, port writes and device accesses noted, stops asked for.
 */
export class FlatBoard implements Board {
  readonly pages = new Map<number, PageRule>();
  readonly log: string[] = [];
  readonly faults: { vector: number; error: number | undefined; cr2: bigint | undefined }[] = [];
  /** Stops the run before each fault it is told of. */
  stopAtFaults = false;
  /** What a page fault leads to. */
  onPageFault: (va: bigint, error: number) => FaultOutcome = (va, error) => ({
    kind: "inject",
    error,
    cr2: va,
  });
  interrupt = -1;
  deviceValue = 0n;

  constructor(
    readonly base: number,
    readonly ramPages: number,
  ) {}

  private answer(
    kind: Refill["kind"],
    offset: number,
    allow: number,
    gpa: number,
    error = 0,
  ): Refill {
    return { kind, offset, allow, level: 1, global: false, gpa, error };
  }

  refill(va: bigint, access: number): Refill {
    const page = Number(BigInt.asUintN(48, va) >> 12n);
    const gpa = Number(BigInt.asUintN(48, va));
    const rule = this.pages.get(page);
    const frame = rule?.frame ?? page;
    if (rule?.kind === "device") return this.answer("device", 0, 0, gpa);
    if (rule?.kind === "missing" || frame >= this.ramPages)
      return this.answer("fault", 0, 0, gpa, access & 0x16);
    if (rule?.readOnly && access & 2) return this.answer("fault", 0, 0, gpa, (access & 0x16) | 1);
    const allow = ALLOW.read | ALLOW.exec | (rule?.readOnly ? 0 : ALLOW.write);
    return this.answer("ram", this.base + frame * PAGE, allow, gpa);
  }
  pageFault(va: bigint, error: number): FaultOutcome {
    return this.onPageFault(va, error);
  }
  emulate(va: bigint): Refill {
    const gpa = Number(BigInt.asUintN(48, va));
    return this.answer("ram", this.base + gpa - (gpa % PAGE), 0, gpa);
  }
  emulatedStore(gpa: number, bytes: Uint8Array): void {
    this.log.push(`store ${gpa.toString(16)} ${Buffer.from(bytes).toString("hex")}`);
  }
  deviceRead(gpa: number, size: number): bigint {
    this.log.push(`read ${gpa.toString(16)} ${size}`);
    return this.deviceValue;
  }
  deviceWrite(gpa: number, size: number, value: bigint): void {
    this.log.push(`write ${gpa.toString(16)} ${size} ${value.toString(16)}`);
  }
  cr0Written(): undefined {}
  cr3Written(): undefined {}
  cr4Written(): undefined {}
  eferWritten(): void {}
  pkruWritten(): void {}
  invlpg(): void {}
  invpcid(): void {}
  hint(): void {}
  portIn(): number {
    return 0;
  }
  portOut(port: number, size: number, value: number): void {
    this.log.push(`out ${port.toString(16)} ${size} ${value.toString(16)}`);
  }
  cpuid(): readonly [number, number, number, number] {
    return [0, 0, 0, 0];
  }
  readMsr(): undefined {}
  writeMsr(): boolean {
    return false;
  }
  time(): bigint {
    return 0n;
  }
  taskPriority(): bigint {
    return 0n;
  }
  hypercall(): undefined {}
  acknowledgeInterrupt(): number {
    const vector = this.interrupt;
    this.interrupt = -1;
    return vector;
  }
  beforeFault(vector: number, error: number | undefined, cr2: bigint | undefined): boolean {
    this.faults.push({ vector, error, cr2 });
    return this.stopAtFaults;
  }
  beforeInvlpg(): boolean {
    return false;
  }
  beforeControlWrite(): boolean {
    return false;
  }
}
