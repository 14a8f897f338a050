import type { Machine } from "../../machine";
import { gva } from "../../x86";
import { walkGuest } from "../inspect/guest-walk";
import type { Symbols } from "../symbols/symbols";
import { type CallerRules, callerRegisters, cfaOf, rulesAt } from "./by-call-frames";
import { type Frame, numbersFor, type RegisterNumbers, registersOf } from "./frame";
import { type StackMemory, stackMemory } from "./stack-memory";

/** The calls of a vCPU, innermost first. */
export interface StackTrace {
  readonly frames: readonly Frame[];
  /** Why there is no further frame, when that is worth a line: "gva 0x… not present at level 2". */
  readonly end?: string;
}

/** Frames followed at most: a stack that leads in circles ends here. */
const LIMIT = 256;

/**
 * Unwinds by call frame information where there is some, else by frame pointer. Reads memory only as
 * far as the frames asked for.
 */
export function stackTrace(
  machine: Machine,
  vcpu: number,
  symbols: Symbols,
  limit = LIMIT,
): StackTrace {
  const view = machine.vcpus[vcpu];
  if (!view) return { frames: [] };
  const numbers = numbersFor(view.state.code64 ? 8 : 4);
  const memory = stackMemory(machine, vcpu);
  const registers = registersOf(view.state, numbers);
  const { rip } = view.state;
  const unwinder = new Unwinder(symbols, memory, numbers);
  const frames: Frame[] = [];
  let next: Next = { pc: rip, at: rip, registers, interrupted: false };
  for (;;) {
    const step = unwinder.frame(next);
    frames.push(step.frame);
    if (typeof step.caller === "bigint")
      return { frames, end: unreadable(machine, vcpu, step.caller) };
    if (step.caller === undefined || frames.length >= Math.min(limit, LIMIT)) return { frames };
    next = step.caller;
  }
}

interface Next {
  readonly pc: bigint;
  readonly at: bigint;
  readonly registers: ReadonlyMap<number, bigint>;
  /** The frame below it was entered by an interrupt. */
  readonly interrupted: boolean;
}

interface Step {
  readonly frame: Frame;
  /** A number is an address that could not be read on the way. */
  readonly caller: Next | bigint | undefined;
}

class Unwinder {
  constructor(
    private readonly symbols: Symbols,
    private readonly memory: StackMemory,
    private readonly numbers: RegisterNumbers,
  ) {}

  frame(next: Next): Step {
    const rules = rulesAt(this.symbols, next.at);
    const cfa = rules && cfaOf(rules, next.registers, this.memory);
    const { pc, at, registers } = next;
    const kind = rules?.signal ? "interrupt" : "code";
    if (rules && cfa !== undefined)
      return {
        frame: { pc, at, registers, cfa, kind },
        caller: this.byRules(rules, cfa, registers),
      };
    const { caller, cfa: guessed } = this.byFramePointer(next);
    return { frame: { pc, at, registers, cfa: guessed, kind }, caller };
  }

  private byRules(
    rules: CallerRules,
    cfa: bigint,
    registers: ReadonlyMap<number, bigint>,
  ): Step["caller"] {
    const rule = rules.row.registers.get(rules.returnRegister);
    if (rule?.kind === "undefined") return undefined; // how start-up code marks the outermost frame
    const caller = callerRegisters(rules, cfa, registers, this.memory, this.numbers);
    const pc = caller.get(rules.returnRegister);
    if (pc === undefined)
      return rule?.kind === "at offset" ? BigInt.asUintN(64, cfa + rule.offset) : undefined;
    const stack = registers.get(this.numbers.stack) ?? 0n;
    const grows = (caller.get(this.numbers.stack) ?? 0n) > stack;
    return this.next(pc, caller, rules.signal, grows);
  }

  /** rbp points at the caller's rbp, with the return address above it. */
  private byFramePointer(next: Next): {
    readonly caller: Step["caller"];
    readonly cfa: bigint | undefined;
  } {
    const { numbers, memory } = this;
    const size = numbers.wordSize;
    const entry = this.atEntry(next);
    const stack = next.registers.get(numbers.stack) ?? 0n;
    const frame = entry ? stack - BigInt(size) : (next.registers.get(numbers.frame) ?? 0n);
    // A frame pointer of 0 is how start-up code ends the chain; one below the stack is something else's.
    if (!entry && (frame === 0n || frame < stack)) return { caller: undefined, cfa: undefined };
    const cfa = frame + BigInt(2 * size);
    const pc = memory.word(frame + BigInt(size), size);
    if (pc === undefined) return { caller: frame + BigInt(size), cfa };
    const caller = new Map([[numbers.stack, cfa]]);
    const saved = entry ? next.registers.get(numbers.frame) : memory.word(frame, size);
    if (saved !== undefined) caller.set(numbers.frame, saved);
    return { caller: this.next(pc, caller, false, true), cfa };
  }

  /** At a function's first instruction rbp still is the caller's and the return address is on top. */
  private atEntry({ pc, at }: Next): boolean {
    if (pc !== at) return false;
    const symbol = this.symbols.symbolAt(pc);
    return (
      symbol?.symbol.kind === "function" && symbol.offset === 0n && symbol.symbol.name !== "_start"
    );
  }

  private next(
    pc: bigint,
    registers: ReadonlyMap<number, bigint>,
    interrupted: boolean,
    grows: boolean,
  ): Next | undefined {
    // An interrupted frame may run on another stack; any other caller is further up the same one.
    if (pc === 0n || !(grows || interrupted)) return undefined;
    // A return address is behind its call, which may be the last instruction of its function.
    return { pc, at: interrupted ? pc : pc - 1n, registers, interrupted };
  }
}

function unreadable(machine: Machine, vcpu: number, address: bigint): string {
  const { outcome } = walkGuest(machine, vcpu, gva(address));
  const where = `gva 0x${address.toString(16)}`;
  if (outcome.kind === "translation")
    return `${where} is no memory (gpa 0x${outcome.to.toString(16)})`;
  return `${where} ${outcome.text.split(":", 1)[0] ?? "not mapped"}`;
}
