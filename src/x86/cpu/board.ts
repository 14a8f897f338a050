import type { Insn } from "./insn";

/**
 * What a processor is plugged into: bare memory and devices (`mmu: none`), or a hypervisor that
 * keeps its own page tables (`mmu: shadow`). The processor knows no more of either than this.
 * One board a vCPU.
 */

/** Kind of a memory access, bits as in a page-fault error code (SDM 3A 4.7) plus `implicit`. */
export const ACCESS = {
  write: 0x2,
  user: 0x4,
  fetch: 0x10,
  /** A system access (descriptor table, TSS, IDT) made while CPL = 3: supervisor, and AC does not count. */
  implicit: 0x100,
} as const;

/** Rights a TLB entry may grant in the mode (user, supervisor, supervisor with AC) it was filled in. */
export const ALLOW = { read: 1, write: 2, exec: 4 } as const;

/**
 * Outcome of a hardware page walk for one access. The board may hand out the same object each time.
 *
 * - `ram`: `offset` is the byte offset in the machine's WebAssembly memory of the 4 KiB frame; `allow`
 *   says which accesses of the current mode need no further walk (`write` only once the leaf is dirty).
 * - `device`: nothing but a device, or nothing at all, at `gpa` (of the accessed byte, not the page).
 * - `fault`: `error` is the page-fault error code.
 */
export interface Refill {
  kind: "ram" | "device" | "fault";
  offset: number;
  allow: number;
  /** Level of the leaf: 1 = 4 KiB, 2 = 2 MiB (or 4 MiB), 3 = 1 GiB. INVLPG drops all of a large page. */
  level: number;
  global: boolean;
  gpa: number;
  error: number;
}

/** The object that a walker answers with, each time the same: says nothing yet. */
export const emptyRefill = (): Refill => ({
  kind: "fault",
  offset: 0,
  allow: 0,
  level: 1,
  global: false,
  gpa: 0,
  error: 0,
});

/** What to do about a hardware page fault, or an intercept, before the guest sees anything. */
export type FaultOutcome =
  /** Execute the instruction again: the tables have changed. */
  | { readonly kind: "retry" }
  /** The guest's own fault. */
  | { readonly kind: "inject"; readonly error: number; readonly cr2: bigint }
  /** Re-execute this one instruction with `emulate` translating its accesses. */
  | { readonly kind: "emulate" }
  /** End the run before this instruction or event: the access cannot be made now. */
  | { readonly kind: "stop" };

/**
 * Vector of what `stop` becomes on its way out of the instruction, which it undoes as a fault does. It
 * never reaches the guest.
 */
export const STOP_VECTOR = 256;

/** A fault to deliver to the guest: `error` undefined when the vector pushes none. */
export interface GuestFault {
  readonly vector: number;
  readonly error?: number;
  readonly cr2?: bigint;
  /** For #DB: the bits of DR6 it brings (B0…B3, BD, BS, BT). */
  readonly dr6?: number;
}

/** EAX, EBX, ECX, EDX. */
export type CpuidResult = readonly [number, number, number, number];

/** What CPUID says, and why. */
export interface CpuidAnswer {
  readonly result: CpuidResult;
  /** There is such a leaf. */
  readonly found: boolean;
  /** Beyond the last leaf, where Intel answers as for its last basic one. */
  readonly usedMaxBasic: boolean;
}

export interface Board {
  /** The hardware walk for `va`. Changes nothing but A/D bits of the tables it walks. */
  refill(va: bigint, access: number): Refill;
  /** A hardware page fault, exit taken, nothing committed. Without a hypervisor: always `inject`. */
  pageFault(va: bigint, error: number): FaultOutcome;
  /**
   * Translation for an instruction being emulated: through the guest's own tables (A/D bits set,
   * permissions checked), then through memslots. `device` also for a page that is not writable RAM
   * when writing. Same result kinds as `refill`; `allow` and `level` are not used.
   */
  emulate(va: bigint, access: number): Refill;
  /** Delivers the store of an emulated instruction: `bytes` little-endian at `gpa`, inside one page. */
  emulatedStore(gpa: number, bytes: Uint8Array): void;
  /** Device (or open-bus) memory. `size` 1, 2, 4 or 8. */
  deviceRead(gpa: number, size: number): bigint;
  deviceWrite(gpa: number, size: number, value: bigint): void;

  /** Architectural changes, after all checks have passed and the registers hold the new value. */
  cr0Written(old: bigint, value: bigint): GuestFault | undefined;
  /** `value` without bit 63; `noFlush` is that bit (CR4.PCIDE). Also called when the value is unchanged. */
  cr3Written(old: bigint, value: bigint, noFlush: boolean): GuestFault | undefined;
  cr4Written(old: bigint, value: bigint): GuestFault | undefined;
  eferWritten(old: bigint, value: bigint): void;
  /** WRPKRU. The TLB is flushed after it, so no answer of `refill` outlives the old rights. */
  pkruWritten(): void;
  /** INVLPG at `va` (canonical or not), after the TLB entry went. */
  invlpg(va: bigint): void;
  /** INVPCID, operands checked: `type` 0…3. */
  invpcid(type: number, pcid: number, va: bigint): void;
  /** WBINVD, INVD, PAUSE, …: nothing to do for most boards. */
  hint(name: "wbinvd" | "pause"): void;

  portIn(port: number, size: number): number;
  portOut(port: number, size: number, value: number): void;
  /** A leaf of hypervisors; `undefined` where this one has no such leaf. */
  cpuid(leaf: number, subleaf: number): CpuidResult | undefined;
  /** MSRs that are not the processor's own. `undefined` = #GP. */
  readMsr(index: number): bigint | undefined;
  /** False = #GP. */
  writeMsr(index: number, value: bigint): boolean;
  /** CPUID has its answer, of any leaf, and has not written it down yet: a hypervisor's guest exits here. */
  cpuidExecuted?(leaf: number, subleaf: number, answer: CpuidAnswer): void;
  /**
   * RDMSR or WRMSR of a register that is the processor's own is over; `refused` = in #GP. EFER that was
   * written is told by `eferWritten` alone.
   */
  ownMsrAccessed?(write: boolean, index: number, value: bigint, refused: boolean): void;
  /** This instruction is about to run once with every access by way of `emulate`. */
  emulating?(insn: Insn): void;
  /**
   * Virtual time in nanoseconds, all vCPUs' retired instructions and skipped idle time together, exact
   * at the instruction that asks. RDTSC, RDTSCP and RDMSR 10h give this plus `tscOffset`.
   */
  time(): bigint;
  /** CR8 / TPR. */
  taskPriority(value?: bigint): bigint;
  /** VMCALL/VMMCALL; `undefined` = #UD. */
  hypercall(): bigint | undefined;

  /** Vector of the interrupt to take now, acknowledged; called only when it can be delivered. -1: none after all. */
  acknowledgeInterrupt(): number;

  /**
   * Announcements made before the thing happens. `true` stops the run with `why: "stop"` and
   * nothing committed; resuming does it without asking again.
   */
  beforeFault(vector: number, error: number | undefined, cr2: bigint | undefined): boolean;
  beforeInvlpg(va: bigint): boolean;
  beforeControlWrite(register: "cr0" | "cr3" | "cr4" | "efer", old: bigint, value: bigint): boolean;
}
