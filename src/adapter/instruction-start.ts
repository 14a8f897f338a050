import { codeBits, decodeOne } from "../debug";
import { gva } from "../x86";
import type { Debuggee } from "./debuggee";

const LONGEST = 15; // SDM 2A 2.3.11
/** Bytes decoded at most on the way from a place where an instruction surely begins. */
const REACH = 4096n;

/** The instruction that `address` lies inside of, not at its start; `undefined` when none is known to. */
export function instructionAround(debuggee: Debuggee, address: bigint): bigint | undefined {
  const view = debuggee.machine.vcpus[debuggee.focus];
  const known = debuggee.symbols.knownStart(address);
  if (!view || known === undefined || address - known > REACH) return undefined;
  const space = debuggee.machine.gva(view.id);
  let at = known;
  while (at < address) {
    const code = space.read(gva(at), LONGEST);
    const insn = code.length > 0 ? decodeOne(codeBits(view.state), code, at) : undefined;
    if (!insn?.valid) return undefined;
    const next = at + BigInt(insn.length);
    if (next > address) return at;
    at = next;
  }
  return undefined;
}
