import type { Insn } from "./insn";

/** What the debugger says of an instruction that Penumbra does not have. */
export function missingText(insn: Insn, address: bigint): string {
  const bytes = [...insn.bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return `not implemented: ${insn.name} (${bytes}) at 0x${address.toString(16)}`;
}
