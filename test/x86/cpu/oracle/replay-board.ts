import {
  ACCESS,
  ALLOW,
  type Board,
  type FaultOutcome,
  type Refill,
} from "../../../../src/x86/cpu/board";
import { PAGE, SPACE } from "./address-space";

/** The first exception of a case. */
export interface SeenFault {
  readonly vector: number;
  readonly error: number | undefined;
  readonly cr2: bigint | undefined;
}

const PRESENT = 1;

/** A board with the pages of a case, seen from ring 3; it stops the run at every exception. */
export class ReplayBoard implements Board {
  fault: SeenFault | undefined;

  constructor(
    private readonly codeAt: number,
    private readonly scratchAt: number,
  ) {}

  refill(va: bigint, access: number): Refill {
    const answer = { offset: 0, allow: 0, level: 1, global: false, gpa: Number(va & 0xffff_ffffn) };
    const fault = (present: number): Refill => ({
      ...answer,
      kind: "fault",
      error: present | (access & (ACCESS.write | ACCESS.user | ACCESS.fetch)),
    });
    const ram = (base: number, page: number, allow: number): Refill => ({
      ...answer,
      kind: "ram",
      error: 0,
      offset: base + PAGE * page,
      allow,
    });
    const codePage = Number((va - BigInt(SPACE.code)) >> 12n);
    // No case means to store into code; a chance hit natively would show as a difference.
    if (codePage >= 0 && codePage < SPACE.codePages)
      return ram(this.codeAt, codePage, ALLOW.read | ALLOW.write | ALLOW.exec);
    const page = Number((va - BigInt(SPACE.scratch)) >> 12n);
    if (page < 0 || page >= SPACE.writablePages + SPACE.readOnlyPages) return fault(0);
    if (access & ACCESS.fetch) return fault(PRESENT);
    const writable = page < SPACE.writablePages;
    if (access & ACCESS.write && !writable) return fault(PRESENT);
    return ram(this.scratchAt, page, ALLOW.read | (writable ? ALLOW.write : 0));
  }

  pageFault(va: bigint, error: number): FaultOutcome {
    return { kind: "inject", error, cr2: va };
  }

  beforeFault(vector: number, error: number | undefined, cr2: bigint | undefined): boolean {
    this.fault ??= { vector, error, cr2 };
    return true;
  }
  beforeInvlpg(): boolean {
    return false;
  }
  beforeControlWrite(): boolean {
    return false;
  }

  emulate(): Refill {
    return unreachable("emulation");
  }
  emulatedStore(): void {
    unreachable("emulation");
  }
  deviceRead(): bigint {
    return unreachable("a device");
  }
  deviceWrite(): void {
    unreachable("a device");
  }
  cr0Written(): undefined {
    return unreachable("CR0");
  }
  cr3Written(): undefined {
    return unreachable("CR3");
  }
  cr4Written(): undefined {
    return unreachable("CR4");
  }
  eferWritten(): void {
    unreachable("EFER");
  }
  pkruWritten(): void {
    unreachable("PKRU");
  }
  invlpg(): void {
    unreachable("INVLPG");
  }
  invpcid(): void {
    unreachable("INVPCID");
  }
  hint(): void {}
  portIn(): number {
    return unreachable("a port");
  }
  portOut(): void {
    unreachable("a port");
  }
  cpuid(): readonly [number, number, number, number] {
    return [0, 0, 0, 0];
  }
  readMsr(): bigint | undefined {
    return undefined;
  }
  writeMsr(): boolean {
    return false;
  }
  time(): bigint {
    return 0n;
  }
  taskPriority(): bigint {
    return 0n;
  }
  hypercall(): bigint | undefined {
    return undefined;
  }
  acknowledgeInterrupt(): number {
    return -1;
  }
}

function unreachable(what: string): never {
  throw new Error(`a user-mode case reached ${what}`);
}
