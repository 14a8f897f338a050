import type { Insn } from "../insn";
import type { SysResult } from "./context";
import type { SysopContext } from "./segment-access";

/** A system instruction. Checks everything first; only then changes anything. */
export type Sysop = (ctx: SysopContext, insn: Insn) => SysResult;
export type SysopTable = Readonly<Record<string, Sysop>>;
