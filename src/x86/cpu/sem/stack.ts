import { GPR, S, SEG } from "../layout";
import type { Machine, Reserved, Semantic } from "../machine";
import { L, type V } from "../wasm/code";

/** Stack instructions. Uses `f`: a flat or 64-bit stack needs neither limits nor 16-bit merging. */

const GP = 13;

/** Translates the slot `below` bytes under the stack pointer, for writing. */
function slotBelow(m: Machine, below: number, bytes: number): { sp: V; slot: Reserved } {
  const sp = m.let(m.stackAdd(m.stackPointer(), -below));
  return { sp, slot: m.reserve(m.linear(SEG.ss, sp, bytes, true), bytes, "stack") };
}

export function pushValue(m: Machine, value: V, bytes: number): void {
  const held = m.let(value);
  const { sp, slot } = slotBelow(m, bytes, bytes);
  slot.set(held, 8 * bytes);
  m.putStackPointer(sp);
}

/** The value on top, and the stack pointer that popping it gives. Nothing is committed. */
export function topOfStack(m: Machine, bytes: number): { value: V; sp: V } {
  const pointer = m.let(m.stackPointer());
  const value = m.load(m.linear(SEG.ss, pointer, bytes, false), 8 * bytes, true);
  return { value, sp: m.let(m.stackAdd(pointer, bytes)) };
}

function push(m: Machine): void {
  // PUSH [m]: the source faults first; PUSH rSP stores the old value.
  pushValue(m, m.op(0).get(), m.key.operandSize);
}

function pop(m: Machine): void {
  const bytes = m.key.operandSize;
  const { value, sp } = topOfStack(m, bytes);
  const target = m.op(0);
  if (!target.isMemory) {
    // POP rSP: the popped value wins.
    m.putStackPointer(sp);
    target.put(value);
    return;
  }
  // POP [rSP+d] addresses with the new rSP, which is committed last.
  const place = m.reserve(m.linearOf(0, bytes, m.ifStackBased(bytes), true), bytes);
  place.set(value, 8 * bytes);
  m.putStackPointer(sp);
}

/** PUSHA: rAX rCX rDX rBX, the old rSP, rBP rSI rDI, downwards; all eight slots before the first store. */
function pushAll(m: Machine): void {
  const bytes = m.key.operandSize;
  const slots = Array.from({ length: 8 }, (_, n) => slotBelow(m, (n + 1) * bytes, bytes));
  for (const [n, { slot }] of slots.entries()) slot.set(m.reg(n, 8 * bytes), 8 * bytes);
  m.putStackPointer(slots[7]!.sp);
}

function popAll(m: Machine): void {
  const bytes = m.key.operandSize;
  const pointer = m.let(m.stackPointer());
  const values = Array.from({ length: 8 }, (_, n) =>
    m.load(m.linear(SEG.ss, m.let(m.stackAdd(pointer, n * bytes)), bytes, false), 8 * bytes, true),
  );
  m.putStackPointer(m.let(m.stackAdd(pointer, 8 * bytes)));
  for (const [n, value] of values.entries()) {
    const register = 7 - n;
    if (register !== GPR.rsp) m.put(register, value, 8 * bytes);
  }
}

/** VM and RF read as 0; in virtual-8086 mode with IOPL < 3 both instructions are #GP. */
function pushFlags(m: Machine): void {
  m.when(L.eqz(m.field(S.popfMask)), () => m.fault(GP, 0));
  const others = L.and(m.field(S.rflags), L.c(0x3c_7702n));
  pushValue(m, L.or(L.or(others, L.c(2)), m.arithmeticFlags()), m.key.operandSize);
}

function popFlags(m: Machine): void {
  const bytes = m.key.operandSize;
  const changeable = m.let(m.field(S.popfMask));
  m.when(L.eqz(changeable), () => m.fault(GP, 0));
  const { value, sp } = topOfStack(m, bytes);
  m.putStackPointer(sp);
  const mask = m.let(bytes === 2 ? L.zx(changeable, 16) : changeable);
  const kept = L.and(m.field(S.rflags), L.not(mask));
  // RF is always cleared (SDM 2B POPF).
  m.setField(S.rflags, L.and(L.or(kept, L.and(value, mask)), L.c(~0x1_08d5n)));
  m.setArithmeticFlags(value);
  m.leaveChanged(m.nextIp());
}

/**
 * ENTER: level 0 is the plain frame; nested levels copy the display. A fault half-way leaves nothing but
 * stores below rSP, as on the processors tested.
 */
function enter(m: Machine): void {
  const bytes = m.key.operandSize;
  const bits = 8 * bytes;
  const level = m.let(L.and(m.op(1).get(), L.c(31)));
  const size = m.let(m.op(0).get());
  const first = slotBelow(m, bytes, bytes);
  const frame = m.let(first.sp);
  first.slot.set(m.reg(GPR.rbp, bits), bits);
  const start = m.let(m.stackAdd(frame, 0));
  const sp = m.variable(start);
  m.when(L.ne(level, L.c(0)), () => {
    const from = m.variable(m.reg(GPR.rbp, 64));
    const left = m.variable(L.sub(level, L.c(1)));
    m.when(L.ne(left.get, L.c(0)), () => {
      m.loopWhile(() => {
        from.set(m.stackAdd(from.get, -bytes));
        sp.set(m.stackAdd(sp.get, -bytes));
        const value = m.load(m.linear(SEG.ss, from.get, bytes, false), bits, true);
        m.reserve(m.linear(SEG.ss, sp.get, bytes, true), bytes, "stack").set(value, bits);
        left.set(L.sub(left.get, L.c(1)));
        return L.ne(left.get, L.c(0));
      });
    });
    sp.set(m.stackAdd(sp.get, -bytes));
    m.reserve(m.linear(SEG.ss, sp.get, bytes, true), bytes, "stack").set(frame, bits);
  });
  const end = m.let(m.stackAdd(sp.get, L.sub(L.c(0), size)));
  // The new top must be writable, though nothing is written there (SDM 2A ENTER).
  m.reserve(m.linear(SEG.ss, end, 1, true), 1, "stack");
  m.put(GPR.rbp, frame, bits);
  m.putStackPointer(end);
}

function leave(m: Machine): void {
  const bytes = m.key.operandSize;
  const frame = m.let(m.stackAdd(m.reg(GPR.rbp, 64), 0));
  const value = m.load(m.linear(SEG.ss, frame, bytes, false), 8 * bytes, true);
  m.putStackPointer(m.let(m.stackAdd(frame, bytes)));
  m.put(GPR.rbp, value, 8 * bytes);
}

const onStack = (emit: (m: Machine) => void): Semantic => ({ uses: "of", emit });

export const stack: Readonly<Record<string, Semantic>> = {
  push: onStack(push),
  pop: onStack(pop),
  pusha: onStack(pushAll),
  popa: onStack(popAll),
  pushf: onStack(pushFlags),
  popf: onStack(popFlags),
  pushseg: onStack(push),
  enter: onStack(enter),
  leave: onStack(leave),
  // The selector, zero-extended; a memory target always takes 16 bits.
  storeseg: { uses: "", emit: (m) => m.op(0).put(L.zx(m.op(1).get(), 16)) },
};
