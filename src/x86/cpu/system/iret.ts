import type { Bytes } from "../insn";
import { FLAG, GPR, S, SEG } from "../layout";
import type { CpuState } from "../state";
import { Attempt } from "./attempt";
import type { SysResult, SystemContext } from "./context";
import { toSegment } from "./descriptor";
import { checkReturnCode, checkTarget, returnStackSegment } from "./far-checks";
import { refused } from "./fault-result";
import { dropInnerSegments, isV8086, paragraphSegment, usesParagraphs } from "./segments";
import { Stack, setStackPointer, stackWidth } from "./stack";
import { returnToTask } from "./task-switch";

/** Flags any IRET changes; RF, AC and ID only with 32- and 64-bit operands (SDM 2A IRET). */
const ALWAYS = Number(
  FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.TF | FLAG.DF | FLAG.OF | FLAG.NT,
);
const WIDE = Number(FLAG.RF | FLAG.AC | FLAG.ID);
const VIRTUAL_INTERRUPTS = Number(FLAG.VIF | FLAG.VIP);
const IF = Number(FLAG.IF);
const IOPL = Number(FLAG.IOPL);
const NT = Number(FLAG.NT);
const VM = Number(FLAG.VM);

/** IRET, IRETD, IRETQ in every mode. Ends the blocking of NMIs. */
export function iret(ctx: SystemContext, size: Bytes): SysResult {
  const { state } = ctx;
  if (isV8086(state) && iopl(state) < 3) return refused;
  if (usesParagraphs(state)) return iretParagraphs(ctx, size);
  if (state.u32(S.rflags) & NT) {
    return state.longMode ? refused : returnToTask(ctx);
  }
  return iretProtected(ctx, size);
}

const iopl = (state: CpuState): number => (state.u32(S.rflags) & IOPL) >> 12;

/** Which flags code at `cpl` may change with `size`-byte operands. */
function writable(state: CpuState, cpl: number, size: Bytes): number {
  let mask = ALWAYS;
  if (size !== 2) mask |= WIDE;
  if (cpl <= iopl(state)) mask |= IF;
  if (cpl === 0) mask |= IOPL | (size === 2 ? 0 : VIRTUAL_INTERRUPTS);
  return mask;
}

function setFlags(state: CpuState, value: number, mask: number): void {
  state.flags = (state.flags & ~mask) | (value & mask);
}
/** A popped flags image; bits from 32 up are none. */
const popFlags = (stack: Stack, size: Bytes): number => Number(stack.pop(size) & 0xffffffffn);

/** Real mode, and virtual-8086 mode with IOPL 3: no descriptors and no change of level. */
function iretParagraphs(ctx: SystemContext, size: Bytes): SysResult {
  const attempt = new Attempt(ctx);
  const { state } = ctx;
  const v8086 = isV8086(state);
  const stack = Stack.current(attempt);
  const ip = stack.pop(size);
  const selector = Number(stack.pop(size) & 0xffffn);
  const flags = popFlags(stack, size);
  const cs = paragraphSegment(state.segment(SEG.cs), selector, v8086);
  checkTarget(attempt, cs, ip);
  return attempt.finish(() => {
    // Virtual-8086 code may change neither IOPL nor VIF and VIP; VM is not touched by either.
    const mask = v8086 ? writable(state, 3, size) : writable(state, 0, size) & ~VIRTUAL_INTERRUPTS;
    setFlags(state, flags, mask);
    state.setSegment(SEG.cs, cs);
    stack.commit(state);
    return land(ctx, ip);
  });
}

function iretProtected(ctx: SystemContext, size: Bytes): SysResult {
  const attempt = new Attempt(ctx);
  const { state } = ctx;
  const { cpl, code64 } = state;
  const stack = Stack.current(attempt);
  const ip = stack.pop(size);
  const selector = Number(stack.pop(size) & 0xffffn);
  const flags = popFlags(stack, size);
  if (flags & VM && cpl === 0 && size === 4 && !state.longMode) {
    return iretToV8086(attempt, stack, { ip, selector, flags });
  }
  const code = checkReturnCode(attempt, selector);
  const outerCpl = selector & 3;
  const mask = writable(state, cpl, size);
  const takesStack = code64 || outerCpl !== cpl;
  const sp = takesStack ? stack.pop(size) : 0n;
  const ssSelector = takesStack ? Number(stack.pop(size) & 0xffffn) : 0;
  const cs = toSegment(selector, code);
  const ss = takesStack ? returnStackSegment(attempt, ssSelector, outerCpl, cs) : undefined;
  checkTarget(attempt, cs, ip);
  return attempt.finish(() => {
    setFlags(state, flags, mask);
    state.setSegment(SEG.cs, cs);
    stack.commit(state);
    if (ss) {
      state.setSegment(SEG.ss, ss);
      setStackPointer(state, stackWidth(state.code64, ss), sp);
    }
    if (outerCpl !== cpl) dropInnerSegments(state, outerCpl);
    return land(ctx, ip);
  });
}

/** The frame of an interrupted virtual-8086 program: everything loads unchecked (SDM 2A IRET). */
function iretToV8086(
  attempt: Attempt,
  stack: Stack,
  frame: { ip: bigint; selector: number; flags: number },
): SysResult {
  const { ctx, state } = attempt;
  const sp = stack.pop(4);
  const order = [SEG.ss, SEG.es, SEG.ds, SEG.fs, SEG.gs] as const;
  const selectors = order.map((index) => ({ index, selector: Number(stack.pop(4) & 0xffffn) }));
  const cs = paragraphSegment(state.segment(SEG.cs), frame.selector, true);
  checkTarget(attempt, cs, frame.ip);
  return attempt.finish(() => {
    const mask = writable(state, 0, 4) | VM;
    setFlags(state, frame.flags, mask);
    state.setSegment(SEG.cs, cs);
    for (const { index, selector } of selectors) {
      state.setSegment(index, paragraphSegment(state.segment(index), selector, true));
    }
    state.setGpr(GPR.rsp, sp);
    return land(ctx, frame.ip);
  });
}

function land(ctx: SystemContext, ip: bigint): SysResult {
  ctx.state.setU32(S.nmiBlocked, 0);
  ctx.state.rip = ip;
  ctx.stateChanged();
  return { kind: "jumped" };
}
