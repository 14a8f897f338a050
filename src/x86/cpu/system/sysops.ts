import { S } from "../layout";
import { PROCESSOR_OPS, UNDEFINED_OPS } from "./processor-ops";
import { REGISTER_OPS } from "./register-ops";
import { SEGMENT_OPS } from "./segment-ops";
import type { SysopTable } from "./sysop";
import { TRANSFER_OPS } from "./transfer-ops";
import {
  fldcw,
  fnclex,
  fninit,
  fwait,
  fxrstor,
  fxsave,
  ldmxcsr,
  stmxcsr,
  storeWord,
} from "./x87-control";

/** Every system instruction by the mnemonic of the opcode table. */
export const sysops: SysopTable = {
  ...TRANSFER_OPS,
  ...SEGMENT_OPS,
  ...REGISTER_OPS,
  ...PROCESSOR_OPS,
  ...UNDEFINED_OPS,
  fwait: (ctx) => fwait(ctx),
  fninit: (ctx) => fninit(ctx),
  fnclex: (ctx) => fnclex(ctx),
  fnstsw: (ctx, insn) => storeWord(ctx, insn, S.fsw),
  fnstcw: (ctx, insn) => storeWord(ctx, insn, S.fcw),
  fldcw,
  ldmxcsr,
  stmxcsr,
  fxsave,
  fxrstor,
};
