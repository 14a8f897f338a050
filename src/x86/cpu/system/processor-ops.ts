import { CR4, GPR, S } from "../layout";
import type { SysResult } from "./context";
import { refused, undefinedHere } from "./fault-result";
import { cli, popf, pushf, setAc, sti } from "./flag-instructions";
import { portInput, portOutput, stringInput, stringOutput } from "./io";
import { setPair } from "./register-ops";
import type { SysopContext } from "./segment-access";
import type { Sysop, SysopTable } from "./sysop";
import { readTsc } from "./timestamp";
import { invlpg, invpcid } from "./tlb-instructions";

/** Flags, ports, translations, time, and the processor as a whole. */
export const PROCESSOR_OPS: SysopTable = {
  cli: (ctx) => cli(ctx),
  sti: (ctx) => sti(ctx),
  pushf: (ctx, insn) => pushf(ctx, insn.operandSize),
  popf: (ctx, insn) => popf(ctx, insn.operandSize),
  clac: (ctx) => setAc(ctx, false),
  stac: (ctx) => setAc(ctx, true),

  in: portInput,
  out: portOutput,
  ins: stringInput,
  outs: stringOutput,

  invlpg,
  invpcid,
  wbinvd: writeBack,
  invd: writeBack,

  rdtsc(ctx) {
    if (timeIsHidden(ctx)) return refused;
    setPair(ctx, readTsc(ctx));
    return undefined;
  },
  rdtscp(ctx) {
    if (!ctx.model.features.has("rdtscp")) return undefinedHere;
    if (timeIsHidden(ctx)) return refused;
    setPair(ctx, readTsc(ctx));
    ctx.state.setGpr(GPR.rcx, BigInt.asUintN(32, ctx.state.u64(S.tscAux)));
    return undefined;
  },
  // No counter exists, so every index is a wrong one.
  rdpmc: () => refused,

  hlt: ({ state }) => (state.cpl === 0 ? { kind: "halt" } : refused),
  pause(ctx) {
    ctx.board.hint("pause");
    return { kind: "pause" };
  },

  vmcall: hypercall,
  vmmcall: hypercall,
};

/** CR4.TSD keeps the time from everything but level 0. */
const timeIsHidden = ({ state }: SysopContext): boolean => state.cpl !== 0 && state.hasCr4(CR4.TSD);

function writeBack(ctx: SysopContext): SysResult {
  if (ctx.state.cpl !== 0) return refused;
  ctx.board.hint("wbinvd");
  return undefined;
}

/** Either vendor's opcode reaches the board; without a hypervisor it is undefined. */
function hypercall(ctx: SysopContext): SysResult {
  const result = ctx.board.hypercall();
  if (result === undefined) return undefinedHere;
  ctx.state.setGpr(GPR.rax, BigInt.asUintN(ctx.state.code64 ? 64 : 32, result));
  return undefined;
}

const undefinedOp: Sysop = () => undefinedHere;

/** Encodings that are known and that this processor does not offer: no SVM, no XSAVE, no MONITOR, no SMM. */
export const UNDEFINED_OPS: SysopTable = Object.fromEntries(
  [
    "ud0",
    "ud1",
    "ud2",
    "monitor",
    "mwait",
    "xgetbv",
    "xsetbv",
    "xsave",
    "xrstor",
    "xsaveopt",
    "rsm",
    "vmrun",
    "vmload",
    "vmsave",
    "stgi",
    "clgi",
    "skinit",
    "invlpga",
  ].map((name) => [name, undefinedOp]),
);
