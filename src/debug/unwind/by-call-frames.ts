import type { CfaRule, FrameRow, RegisterRule } from "../dwarf/call-frame-row";
import { rowAt } from "../dwarf/call-frame-row";
import { evaluateLocation, type FrameContext } from "../dwarf/location-expression";
import type { Symbols } from "../symbols/symbols";
import type { RegisterNumbers } from "./frame";
import type { StackMemory } from "./stack-memory";

/** What the code at an address says about its caller. */
export interface CallerRules {
  readonly row: FrameRow;
  /** The code runs on an interrupt: its caller stands at an instruction, not behind a call. */
  readonly signal: boolean;
  readonly base: bigint;
  readonly returnRegister: number;
}

export function rulesAt(symbols: Symbols, at: bigint): CallerRules | undefined {
  for (const image of symbols.images) {
    const frame = image.frames.at(at - image.base);
    const row = frame && rowAt(frame, at - image.base);
    if (row)
      return {
        row,
        signal: frame.common.signal,
        base: image.base,
        returnRegister: frame.common.returnRegister,
      };
  }
  return undefined;
}

type Registers = ReadonlyMap<number, bigint>;

/** The canonical frame address, from the registers of the frame itself. */
export function cfaOf(
  rules: CallerRules,
  registers: Registers,
  memory: StackMemory,
): bigint | undefined {
  const { cfa } = rules.row;
  if (cfa.kind === "register") {
    const value = registers.get(cfa.register);
    return value === undefined ? undefined : BigInt.asUintN(64, value + cfa.offset);
  }
  return byExpression(cfa, rules, registers, memory, []);
}

/** Registers as the caller had them. Those nobody saved keep their value if the ABI makes callees save them. */
export function callerRegisters(
  rules: CallerRules,
  cfa: bigint,
  registers: Registers,
  memory: StackMemory,
  numbers: RegisterNumbers,
): Map<number, bigint> {
  const caller = new Map<number, bigint>();
  for (const [number, value] of registers)
    if (rules.signal || isKept(number, numbers)) caller.set(number, value);
  caller.set(numbers.stack, cfa);
  for (const [number, rule] of rules.row.registers) {
    const value = valueBy(rule, rules, cfa, registers, memory, numbers.wordSize);
    if (value !== undefined) caller.set(number, value);
    else if (rule.kind !== "same") caller.delete(number);
  }
  return caller;
}

/** rbx, rbp, r12…r15 (x86-64 psABI 3.2.1); ebx, ebp, esi, edi (i386 psABI 2.2.1). */
function isKept(number: number, { wordSize }: RegisterNumbers): boolean {
  return wordSize === 8
    ? number === 3 || number === 6 || (number >= 12 && number <= 15)
    : [3, 5, 6, 7].includes(number);
}

function valueBy(
  rule: RegisterRule,
  rules: CallerRules,
  cfa: bigint,
  registers: Registers,
  memory: StackMemory,
  wordSize: number,
): bigint | undefined {
  switch (rule.kind) {
    case "undefined":
      return undefined;
    case "same":
      return undefined; // already carried over
    case "at offset":
      return memory.word(BigInt.asUintN(64, cfa + rule.offset), wordSize);
    case "is offset":
      return BigInt.asUintN(64, cfa + rule.offset);
    case "register":
      return registers.get(rule.register);
    case "is expression":
      return byExpression(rule, rules, registers, memory, [cfa]);
    case "at expression": {
      const at = byExpression(rule, rules, registers, memory, [cfa]);
      return at === undefined ? undefined : memory.word(at, wordSize);
    }
  }
}

function byExpression(
  rule: (CfaRule | RegisterRule) & { readonly expression: Uint8Array },
  rules: CallerRules,
  registers: Registers,
  memory: StackMemory,
  initial: readonly bigint[],
): bigint | undefined {
  const context: FrameContext = {
    pc: 0n,
    base: rules.base,
    register: (number) => registers.get(number),
    read: (address, size) => memory.read(address, size),
    cfa: () => undefined,
  };
  const found = evaluateLocation(rule.expression, undefined, context, initial);
  if (found.kind === "memory") return found.address;
  return found.kind === "value" ? found.value : undefined;
}
