import type { CpuState } from "../../x86";
import { codeBits } from "./code-bits";
import { decodeOne } from "./iced";

const FORM = /^not implemented: .* \(([0-9a-f ]+)\) at (0x[0-9a-f]+)$/;

/**
 * What stopped a vCPU at an instruction Penumbra does not have, with the instruction written out: the
 * processor itself knows only its bytes. Other reasons to stop so are passed through.
 */
export function missingInstruction(text: string, state: CpuState): string {
  const [, bytes, address] = FORM.exec(text) ?? [];
  if (bytes === undefined || address === undefined) return text;
  const code = Uint8Array.from(bytes.split(" "), (byte) => Number.parseInt(byte, 16));
  return `not implemented: ${decodeOne(codeBits(state), code, BigInt(address)).text} at ${address}`;
}
