import { Decoder, DecoderOptions, FlowControl, Formatter, FormatterSyntax, OpKind } from "iced-x86";

/** One decoded instruction as text, with what a debugger wants to know of it. */
export interface Decoded {
  readonly length: number;
  /** Intel syntax, lower case, hexadecimal as 0x…. */
  readonly text: string;
  /** False for bytes that are no instruction, or that end too early. */
  readonly valid: boolean;
  /** Address that a near branch or a RIP-relative operand names. */
  readonly target: bigint | undefined;
  readonly calls: boolean;
  readonly returns: boolean;
}

let formatter: Formatter | undefined;

function intel(): Formatter {
  if (!formatter) {
    formatter = new Formatter(FormatterSyntax.Intel);
    formatter.hexPrefix = "0x";
    formatter.hexSuffix = "";
    formatter.uppercaseHex = false;
    formatter.smallHexNumbersInDecimal = false;
    formatter.spaceAfterOperandSeparator = true;
    formatter.ripRelativeAddresses = false;
    formatter.branchLeadingZeros = false;
  }
  return formatter;
}

/** Decodes the instruction at `ip` from `bytes` (at least 15 unless the memory ends). */
export function decodeOne(bits: 16 | 32 | 64, bytes: Uint8Array, ip: bigint): Decoded {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  decoder.ip = ip;
  const insn = decoder.decode();
  const flow = insn.flowControl;
  const branch =
    insn.opCount > 0 &&
    [OpKind.NearBranch16, OpKind.NearBranch32, OpKind.NearBranch64].includes(insn.op0Kind);
  const result: Decoded = {
    length: Math.max(1, insn.length),
    text: insn.isInvalid ? "(bad)" : intel().format(insn),
    valid: !insn.isInvalid,
    target: branch
      ? insn.nearBranchTarget
      : insn.isIpRelMemoryOperand
        ? insn.ipRelMemoryAddress
        : undefined,
    calls: [FlowControl.Call, FlowControl.IndirectCall, FlowControl.Interrupt].includes(flow),
    returns: flow === FlowControl.Return,
  };
  insn.free();
  decoder.free();
  return result;
}
