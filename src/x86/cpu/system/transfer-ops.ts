import type { Bytes, Insn } from "../insn";
import { FLAG, S } from "../layout";
import { Attempt } from "./attempt";
import type { SysResult } from "./context";
import { deliverOnce } from "./deliver";
import type { DeliveryEvent } from "./event";
import { type FarPointer, farCall, farJump, farReturn } from "./far-transfer";
import { refused } from "./fault-result";
import { iret } from "./iret";
import { readOperandAt, type SysopContext } from "./segment-access";
import { isV8086 } from "./segments";
import { syscall, sysret } from "./syscall";
import { sysenter, sysexit } from "./sysenter";
import type { SysopTable } from "./sysop";
import { VECTOR } from "./vectors";

/** DR6.B0…B3 */
const DATA_HITS = 0xf;

/** Ways to another code segment, privilege level or handler. */
export const TRANSFER_OPS: SysopTable = {
  iret: (ctx, insn) => iret(ctx, insn.operandSize),
  callf(ctx, insn) {
    const attempt = new Attempt(ctx);
    return farCall(attempt, farPointer(ctx, attempt, insn), insn.operandSize);
  },
  jmpf(ctx, insn) {
    const attempt = new Attempt(ctx);
    return farJump(attempt, farPointer(ctx, attempt, insn));
  },
  retf(ctx, insn) {
    const parameters = insn.operands.length > 0 ? Number(ctx.operandValue(insn, 0)) : 0;
    return farReturn(ctx, insn.operandSize, parameters);
  },
  int(ctx, insn) {
    const { state } = ctx;
    // Only INT n asks for IOPL 3 in virtual-8086 mode; INT3, INTO and INT1 do not (SDM 3B 20.2.7).
    const iopl = (state.u64(S.rflags) & FLAG.IOPL) >> 12n;
    if (isV8086(state) && iopl < 3n) return refused;
    return raise(ctx, "software", Number(ctx.operandValue(insn, 0) & 0xffn));
  },
  int3: (ctx) => raise(ctx, "software", VECTOR.BP),
  into: (ctx) => (ctx.state.rflags & FLAG.OF ? raise(ctx, "software", VECTOR.OF) : undefined),
  int1(ctx) {
    // Data breakpoints that MOV SS held back are reported by the same #DB.
    const hits = ctx.state.u32(S.pendingDb) & DATA_HITS;
    return raise(ctx, "trap", VECTOR.DB, hits === 0 ? {} : { dr6: hits });
  },
  bound(ctx, insn) {
    const attempt = new Attempt(ctx);
    const size = insn.operandSize as 2 | 4;
    const signed = (value: bigint): bigint => BigInt.asIntN(8 * size, value);
    const index = signed(ctx.operandValue(insn, 0));
    const lower = signed(readOperandAt(ctx, attempt, insn, 0, size));
    const upper = signed(readOperandAt(ctx, attempt, insn, size, size));
    attempt.require(index >= lower && index <= upper, VECTOR.BR);
    return attempt.finish(() => undefined);
  },
  syscall: (ctx) => syscall(ctx),
  sysret: (ctx, insn) => sysret(ctx, insn.operandSize === 8),
  sysenter: (ctx) => sysenter(ctx),
  sysexit: (ctx, insn) => sysexit(ctx, insn.operandSize === 8),
};

/**
 * An instruction that is an event. What prevents its delivery is that instruction's fault. No
 * single-step trap follows: the delivery has cleared TF.
 */
function raise(
  ctx: SysopContext,
  kind: "software" | "trap",
  vector: number,
  cause: { readonly dr6?: number } = {},
): SysResult {
  const event: DeliveryEvent = { vector, kind, returnRip: ctx.nextRip, ...cause };
  const outcome = deliverOnce(ctx, event);
  return outcome ?? { kind: "jumped", trapFlagAfter: true };
}

/** An immediate far pointer, or offset then selector in memory. */
function farPointer(ctx: SysopContext, attempt: Attempt, insn: Insn): FarPointer {
  const operand = insn.operands[0];
  if (operand?.kind === "far") return { selector: operand.selector, offset: operand.offset };
  const size = farOffsetSize(ctx, insn);
  const offset = readOperandAt(ctx, attempt, insn, 0, size);
  return { offset, selector: Number(readOperandAt(ctx, attempt, insn, size, 2)) };
}

/** m16:64 is Intel's; AMD reads m16:32 whatever REX.W says (APM 3 JMP far). */
const farOffsetSize = (ctx: SysopContext, insn: Insn): Bytes =>
  insn.operandSize === 8 && ctx.model.vendor === "amd" ? 4 : insn.operandSize;
