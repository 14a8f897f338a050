import type { Machine } from "../../machine";
import {
  type CpuState,
  type Gpa,
  type Gva,
  gpa,
  gpaOf,
  IN_REGISTER,
  type PassivePort,
  type PdpteRegisters,
  pageOffsetOfGva,
  pagingMode,
  S,
  WalkResult,
  type WalkRoot,
  walk,
  walkAccess,
  walkRules,
} from "../../x86";

/** An entry that a walk read. */
export interface WalkStep {
  readonly level: number;
  /** `undefined`: a PDPTE register, not memory. */
  readonly at: Gpa | undefined;
  readonly entry: bigint;
}

/** A translation through the guest's own tables, or why there is none. */
export interface GuestWalk {
  readonly gva: Gva;
  /** From the root down; empty without paging. */
  readonly steps: readonly WalkStep[];
  readonly outcome:
    | {
        readonly kind: "translation";
        readonly gpa: Gpa;
        readonly level: number;
        readonly rights: number;
      }
    | {
        readonly kind: "fault";
        readonly level: number;
        readonly error: number;
        readonly text: string;
      };
}

/** Memory as a walk of the debugger sees it: read, and nothing else. */
function passiveGpa(machine: Machine): PassivePort<Gpa> {
  return {
    load: (at, bytes, entry) => {
      const read = machine.gpa.read(at, bytes);
      if (read.length < bytes) return false;
      const view = new DataView(read.buffer, read.byteOffset, read.byteLength);
      entry.lo = view.getUint32(0, true);
      entry.hi = bytes === 8 ? view.getUint32(4, true) : 0;
      return true;
    },
  };
}

/** Address of the table that CR3 names. */
export const rootOf = (state: CpuState): Gpa => gpa(Number(state.cr3 & 0x000f_ffff_ffff_f000n));

/**
 * Walks the guest's tables for one access of a vCPU. `root` is another address space than the current
 * one. Sets no A or D bit and fills no TLB: the port can only read.
 */
export function walkGuest(
  machine: Machine,
  vcpu: number,
  address: Gva,
  access = 0,
  root?: Gpa,
): GuestWalk {
  const state = stateOf(machine, vcpu);
  const rules = walkRules(state, machine.pagingFeatures, Number(state.u64(S.pkru)));
  const steps: WalkStep[] = [];
  const result = walk(
    rules,
    walkRoot(state, root),
    address,
    walkAccess(access, (state.rflags & 0x40000n) !== 0n),
    passiveGpa(machine),
    new WalkResult<Gpa>(),
    {
      element: (level, at, lo, hi) => {
        const entry = (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
        steps.push({ level, at: at === IN_REGISTER ? undefined : at, entry });
      },
    },
  );
  if (result.kind === "translation") {
    const translated = gpaOf(result.frame, pageOffsetOfGva(address));
    const { level, access: rights } = result;
    return {
      gva: address,
      steps,
      outcome: { kind: "translation", gpa: translated, level, rights },
    };
  }
  const { level, error } = result;
  const where = level ? ` at level ${level}` : "";
  const text = `${reasonText(result.reason, error)}${where}: ${entryText(steps.at(-1), result)}`;
  return { gva: address, steps, outcome: { kind: "fault", level, error, text } };
}

/** Steps without the check of rights: what the tables say of an address, whoever may use it. */
export function leafOf(machine: Machine, vcpu: number, address: Gva, root?: Gpa): GuestWalk {
  const supervisor = walkGuest(machine, vcpu, address, 0, root);
  if (supervisor.outcome.kind === "translation") return supervisor;
  // SMAP keeps a supervisor read from user pages: as user the same tables answer.
  const user = walkGuest(machine, vcpu, address, 4, root);
  return user.outcome.kind === "translation" ? user : supervisor;
}

function walkRoot(state: CpuState, root: Gpa | undefined): WalkRoot<Gpa> {
  if (pagingMode(state) !== "PAE") return root ?? rootOf(state);
  const registers: PdpteRegisters = new Uint32Array(8);
  for (let word = 0; word < 8; word++) registers[word] = state.u32(S.pdpte + 4 * word);
  return registers;
}

function stateOf(machine: Machine, vcpu: number): CpuState {
  const view = machine.vcpus[vcpu];
  if (!view) throw new Error(`there is no vCPU ${vcpu}`);
  return view.state;
}

const REASONS = {
  "not-present": "not present",
  unreadable: "not present (the table is not in memory)",
  reserved: "a reserved bit is set",
  permission: "not allowed",
  "protection-key": "refused by the protection key",
} as const;

function reasonText(reason: WalkResult<Gpa>["reason"], error: number): string {
  if (reason !== "permission") return REASONS[reason ?? "not-present"];
  const what = error & 0x10 ? "execution" : error & 2 ? "write" : "read";
  return `${error & 4 ? "user" : "supervisor"} ${what} not allowed`;
}

function entryText(step: WalkStep | undefined, result: WalkResult<Gpa>): string {
  if (!step) return `gpte at gpa:0x${result.entryAt(result.level).toString(16)} cannot be read`;
  const place = step.at === undefined ? "in a PDPTE register" : `at gpa:0x${step.at.toString(16)}`;
  if (result.reason === "unreadable") return `gpte ${place} is outside memory`;
  return `gpte ${place} = ${step.entry === 0n ? "0" : `0x${step.entry.toString(16)}`}`;
}
