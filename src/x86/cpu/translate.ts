import { ACCESS, type Board, type GuestFault, type Refill, STOP_VECTOR } from "./board";
import { S } from "./layout";
import type { CpuState } from "./state";
import type { Tlb } from "./tlb";

/** Where an access goes. The translator hands out the same object each time. */
export interface Target {
  /** `emulated` RAM is written through the board, which watches it. */
  kind: "ram" | "device" | "emulated" | "fault";
  /** Byte in the wasm memory. */
  offset: number;
  gpa: number;
  fault: GuestFault | undefined;
}

/** Retries of one access that no longer look like progress. */
const TOO_MANY_RETRIES = 10_000;

const PAGE_FAULT = 14;
/** EFLAGS.AC */
const AC = 1 << 18;

/** Bank of a data access: system structures are read as supervisor, and AC does not count for them. */
export function bankOf(state: CpuState, access: number): number {
  if (access & ACCESS.user) return 0;
  if (access & ACCESS.implicit) return 1;
  return state.u32(S.rflags) & AC ? 2 : 1;
}

/** Answers "where is this byte" for one vCPU: TLB, hardware walk, then what the board says to a fault. */
export class Translator {
  private readonly target: Target = { kind: "ram", offset: 0, gpa: 0, fault: undefined };
  /** An address as one value and as its halves: shifting and masking a bigint makes two more of them. */
  private readonly whole = new BigUint64Array(1);
  private readonly halves = new Uint32Array(this.whole.buffer);

  constructor(
    private readonly board: Board,
    private readonly state: () => CpuState,
    private readonly tlb: Tlb,
    private readonly holdsCode: (offset: number) => boolean,
    /** The board wants the instruction at hand emulated, which goes on from here. */
    private readonly onEmulation: () => void,
  ) {}

  /**
   * The byte at `va` for a data access that stays in its page. Fills the TLB. With `emulating`, through
   * the board's own translation, which no TLB caches; so too when the board wants a fault emulated.
   */
  data(va: bigint, access: number, emulating: boolean): Target {
    if (emulating) return this.emulated(va, access);
    const target = this.ask(va, access);
    if (target.kind !== "emulated") return target;
    this.onEmulation();
    return this.emulated(va, access);
  }

  /** The same, but an access that is to be emulated comes back as `emulated` without a place. */
  ask(va: bigint, access: number): Target {
    this.whole[0] = va;
    const low = this.halves[0]!;
    const high = this.halves[1]!;
    const write = (access & ACCESS.write) !== 0;
    const bank = bankOf(this.state(), access);
    const found = this.tlb.lookup(bank, low, high, write);
    if (found >= 0) return this.ram(found + (low & 0xfff));
    for (let tries = 0; tries < TOO_MANY_RETRIES; tries++) {
      const refill = this.board.refill(va, access);
      if (refill.kind === "ram") {
        this.tlb.insert(bank, low, high, refill, this.holdsCode(refill.offset));
        return this.ram(refill.offset + (low & 0xfff));
      }
      if (refill.kind === "device") return this.device(refill.gpa);
      const outcome = this.board.pageFault(va, refill.error);
      if (outcome.kind === "inject") return this.fault(outcome.error, outcome.cr2);
      if (outcome.kind === "stop") return this.stopped();
      if (outcome.kind === "emulate") {
        this.target.kind = "emulated";
        return this.target;
      }
    }
    throw new Error(`no progress translating 0x${va.toString(16)} for access ${access}`);
  }

  /** The page frame to fetch `va` from. */
  code(va: bigint, user: boolean, onEviction: () => void): Target {
    this.whole[0] = va;
    const low = this.halves[0]!;
    const high = this.halves[1]!;
    const found = this.tlb.lookupCode(user, low, high);
    if (found >= 0) return this.ram(found);
    const access = ACCESS.fetch | (user ? ACCESS.user : 0);
    for (let tries = 0; tries < TOO_MANY_RETRIES; tries++) {
      const refill = this.board.refill(va, access);
      if (refill.kind === "ram") {
        if (this.tlb.insertCode(user, low, high, refill)) onEviction();
        return this.ram(refill.offset);
      }
      if (refill.kind === "device") return this.device(refill.gpa);
      const outcome = this.board.pageFault(va, refill.error);
      if (outcome.kind === "inject") return this.fault(outcome.error, outcome.cr2);
      if (outcome.kind === "stop") return this.stopped();
      if (outcome.kind === "emulate") return this.device(refill.gpa);
    }
    throw new Error(`no progress fetching from 0x${va.toString(16)}`);
  }

  private emulated(va: bigint, access: number): Target {
    const refill: Refill = this.board.emulate(va, access);
    if (refill.kind === "device") return this.device(refill.gpa);
    if (refill.kind === "fault") return this.fault(refill.error, va);
    this.ram(refill.offset + Number(va & 0xfffn));
    this.target.kind = "emulated";
    this.target.gpa = refill.gpa;
    return this.target;
  }
  private ram(offset: number): Target {
    this.target.kind = "ram";
    this.target.offset = offset;
    return this.target;
  }
  private device(gpa: number): Target {
    this.target.kind = "device";
    this.target.gpa = gpa;
    return this.target;
  }
  private stopped(): Target {
    this.target.kind = "fault";
    this.target.fault = { vector: STOP_VECTOR };
    return this.target;
  }
  private fault(error: number, cr2: bigint): Target {
    this.target.kind = "fault";
    this.target.fault = { vector: PAGE_FAULT, error, cr2 };
    return this.target;
  }
}
