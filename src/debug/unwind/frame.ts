import { type CpuState, GPR } from "../../x86";

/** One call on a vCPU's stack. */
export interface Frame {
  /** Next instruction of this frame; for callers, where the call returns to. */
  readonly pc: bigint;
  /** An address inside the instruction the frame is at: `pc`, or the call's last byte for callers. */
  readonly at: bigint;
  /** Values of registers that are known here, by DWARF number (x86-64 psABI, figure 3.36). */
  readonly registers: ReadonlyMap<number, bigint>;
  /** The canonical frame address (DWARF 5, 6.4): rsp before the call; `undefined` when no rule tells. */
  readonly cfa: bigint | undefined;
  /** `interrupt`: entered by an exception or interrupt, not by a call. */
  readonly kind: "code" | "interrupt";
}

/** DWARF number → register encoding, for 64-bit code. */
const DWARF_64 = ["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp"] as const;
/** The same for 32-bit code (i386 psABI, table 2.14). */
const DWARF_32 = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"] as const;

/** How one width of code numbers its registers. */
export interface RegisterNumbers {
  readonly wordSize: 4 | 8;
  readonly stack: number;
  readonly frame: number;
  readonly return: number;
  readonly names: readonly string[];
}

const extended = ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"] as const;
const wide: RegisterNumbers = {
  wordSize: 8,
  stack: 7,
  frame: 6,
  return: 16,
  names: [...DWARF_64, ...extended],
};
const narrow: RegisterNumbers = { wordSize: 4, stack: 4, frame: 5, return: 8, names: DWARF_32 };

export const numbersFor = (wordSize: 4 | 8): RegisterNumbers => (wordSize === 8 ? wide : narrow);

/** The registers of a vCPU by DWARF number. */
export function registersOf(state: CpuState, numbers: RegisterNumbers): Map<number, bigint> {
  const mask = numbers.wordSize === 8 ? (1n << 64n) - 1n : 0xffffffffn;
  const registers = new Map<number, bigint>();
  numbers.names.forEach((name, number) => {
    registers.set(number, state.gpr(GPR[name as keyof typeof GPR]) & mask);
  });
  registers.set(numbers.return, state.rip);
  return registers;
}

/** A register of a frame by its usual 64-bit name, if the frame knows it. */
export function frameRegister(frame: Frame, name: string, numbers = wide): bigint | undefined {
  if (name === "rip") return frame.pc;
  const number = numbers.names.indexOf(name);
  return number < 0 ? undefined : frame.registers.get(number);
}
