import { PAGE, SCRATCH_BYTES, SPACE, WRITABLE_BYTES } from "./address-space";
import type { Form } from "./form";
import type { Random } from "./random";

/** Inputs under construction; shapes bend them so that an instruction mostly does something. */
export interface Draft {
  readonly form: Form;
  readonly random: Random;
  /** Registers as they stand; set with `put`. */
  readonly gpr: readonly bigint[];
  put(register: number, value: bigint): void;
  /** Writes into the scratch region; outside its writable part nothing happens. */
  patch(linear: bigint, value: bigint, bytes: number): void;
  /** Scratch bytes as a number, 0 where nothing is mapped. */
  peek(linear: bigint, bytes: number): bigint;
  /** An address of the code pages, away from the instruction. */
  target(): bigint;
}

/** What a mnemonic needs beyond random operands. */
export interface Shape {
  /** Registers that addressing must leave alone. */
  readonly claims?: readonly number[];
  /** Before encoding: registers, the reg operand, the immediate. */
  before?(draft: Draft): { reg?: number; immediate?: bigint } | undefined;
  /** After encoding: `linear` is where the memory operand points, `rm` the register operand or -1. */
  after?(draft: Draft, linear: bigint, rm: number): void;
}

const [RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI] = [0, 1, 2, 3, 4, 5, 6, 7] as const;

/** A place for an access of `bytes`: mostly writable, now and then where it faults or crosses pages. */
export function place(random: Random, bytes: number, mode: number): bigint {
  const at = random.below(100);
  const into = bytes > 1 ? 1 + random.below(bytes - 1) : 0;
  const start = SPACE.scratch;
  const end = start + SCRATCH_BYTES;
  const aligned = (limit: number): number => bytes * random.below(Math.floor(limit / bytes));
  if (at < 36) return BigInt(start + aligned(WRITABLE_BYTES));
  if (at < 72) return BigInt(start + random.below(WRITABLE_BYTES - bytes));
  if (at < 81) return BigInt(start + PAGE - into);
  if (at < 84) return BigInt(start + WRITABLE_BYTES - into);
  if (at < 90) return BigInt(start + WRITABLE_BYTES + random.below(PAGE - bytes));
  if (at < 93) return BigInt(end - into);
  if (at < 97 || mode === 32)
    return BigInt(at & 1 ? end + random.below(PAGE) : start - bytes - random.below(PAGE));
  return (1n << 47n) + (random.u64() >> 2n);
}

const stackPointer = (draft: Draft, register: number): void => {
  if (draft.random.chance(12)) draft.put(register, place(draft.random, 8, draft.form.mode));
};
const stack: Shape = {
  before: (draft) => {
    stackPointer(draft, RSP);
    return undefined;
  },
};

const string: Shape = {
  before: (draft) => {
    const { random, form } = draft;
    for (const register of [RSI, RDI])
      draft.put(register, place(random, form.operandSize, form.mode));
    // Ranges that overlap, in either direction; lines of the scratch region repeat values, so that
    // comparing goes on for a while.
    if (random.chance(30))
      draft.put(RSI, draft.gpr[RDI]! + BigInt(random.pick([1, -1, -3]) * form.operandSize));
    if (form.row.name === "scas" && random.chance(40))
      draft.put(RAX, draft.peek(draft.gpr[RDI]!, 8));
    if (form.rep) draft.put(RCX, BigInt(random.below(random.chance(80) ? 6 : 40)));
    return undefined;
  },
};

/** A dividend that mostly gives a quotient in range. */
function dividend({ form, random, put, gpr }: Draft): undefined {
  if (random.chance(15)) return;
  const signed = form.row.name === "idiv";
  if (form.operandSize === 1 || form.row.operands[0]!.size === "b") {
    put(RAX, BigInt(random.below(0x1000)) - (signed ? 0x800n : 0n));
    return;
  }
  const bits = 8 * form.operandSize;
  const negative = (gpr[RAX]! >> BigInt(bits - 1)) & 1n;
  put(RDX, random.chance(25) ? BigInt(random.below(256)) : signed && negative ? -1n : 0n);
}

const offsetInReach: Shape = {
  before: ({ form, random, put }) => {
    if (form.place !== "mem" || form.row.operands[1]!.kind !== "G") return undefined;
    const reg = random.pick([RAX, RCX, RDX, RBX, RBP, RSI]);
    if (random.chance(95)) put(reg, BigInt(random.below(600) - 300));
    return { reg };
  },
  claims: [RAX, RCX, RDX, RBX, RBP, RSI],
};

const shift: Shape = {
  before: ({ form, random, put }) => {
    const byCl = form.row.operands.some(({ kind }) => kind === "CL");
    if (byCl && random.chance(70)) put(RCX, BigInt(random.below(70)));
    return random.chance(70) ? { immediate: BigInt(random.below(70)) } : undefined;
  },
  claims: [RCX],
};

/** Never a bad stack and a bad target at once: processors differ in which they find first. */
const branchTarget: Shape = {
  claims: [RSP],
  before: (draft) => {
    if (draft.form.place !== "mem") stackPointer(draft, RSP);
    return undefined;
  },
  after: (draft, linear, rm) => {
    if (rm >= 0) draft.put(rm, draft.target());
    else if (draft.random.chance(92)) draft.patch(linear, draft.target(), draft.form.operandSize);
  },
};

const counted: Shape = {
  before: ({ random, put }) => {
    if (random.chance(50)) put(RCX, BigInt(random.below(3)));
    return undefined;
  },
};

/** The accumulator equals the destination in about half the cases. */
const compareAccumulator: Shape = {
  claims: [RAX],
  after: ({ form, random, put, peek, gpr }, linear, rm) => {
    if (random.chance(50)) put(RAX, rm >= 0 ? gpr[rm]! : peek(linear, form.operandSize));
  },
};
const comparePair: Shape = {
  claims: [RAX, RDX],
  after: ({ form, random, put, peek }, linear) => {
    const half = form.width === "W" ? 8 : 4;
    if (random.chance(50)) {
      put(RAX, peek(linear, half));
      put(RDX, peek(linear + BigInt(half), half));
    }
  },
};

const TRAP_FLAG = 0x100n;

const named: Readonly<Record<string, Shape>> = {
  push: stack,
  pop: stack,
  pusha: stack,
  popa: stack,
  pushf: stack,
  pushseg: stack,
  popf: {
    before: (draft) => {
      stackPointer(draft, RSP);
      draft.patch(draft.gpr[RSP]!, draft.random.u64() & ~TRAP_FLAG, 8);
      return undefined;
    },
  },
  ret: {
    before: (draft) => {
      stackPointer(draft, RSP);
      if (draft.random.chance(95)) draft.patch(draft.gpr[RSP]!, draft.target(), 8);
      return undefined;
    },
  },
  enter: {
    before: (draft) => {
      stackPointer(draft, RSP);
      draft.put(RBP, place(draft.random, 8, draft.form.mode));
      const level = draft.random.chance(60) ? 0 : draft.random.below(34);
      return { immediate: BigInt((level << 16) | draft.random.below(0x180)) };
    },
  },
  leave: {
    before: (draft) => {
      draft.put(RBP, place(draft.random, 8, draft.form.mode));
      return undefined;
    },
  },
  call: branchTarget,
  jmp: branchTarget,
  loop: counted,
  loope: counted,
  loopne: counted,
  jcxz: counted,
  div: { before: dividend, claims: [RAX, RDX] },
  idiv: { before: dividend, claims: [RAX, RDX] },
  bt: offsetInReach,
  bts: offsetInReach,
  btr: offsetInReach,
  btc: offsetInReach,
  rol: shift,
  ror: shift,
  rcl: shift,
  rcr: shift,
  shl: shift,
  shr: shift,
  sar: shift,
  shld: shift,
  shrd: shift,
  cmpxchg: compareAccumulator,
  cmpxchg8b: comparePair,
  movs: string,
  cmps: string,
  stos: string,
  lods: string,
  scas: string,
  xlat: {
    before: ({ form, random, put, gpr }) => {
      put(RBX, place(random, 1, form.mode) - (gpr[RAX]! & 0xffn));
      return undefined;
    },
  },
};

export const shapeOf = (name: string): Shape => named[name] ?? {};
