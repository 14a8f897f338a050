import type { DebugProtocol } from "@vscode/debugprotocol";
import { codeBits, Disassembler, type Row } from "../debug";
import { gva } from "../x86";
import type { Debuggee } from "./debuggee";
import { hex, moved, parsePlace } from "./memory-reference";
import { type Refusal, refusals } from "./refusal";
import { sourceOf } from "./source-reference";

const SPACES = { gpa: "guest physical", hva: "host virtual", hpa: "host physical" } as const;

/** Instructions listed, or passed over, in one answer. */
const MOST = 50_000;

/** A listing of exactly the rows asked for; the byte offset is applied first, then the instructions'. */
export function disassemble(
  debuggee: Debuggee,
  args: DebugProtocol.DisassembleArguments,
): DebugProtocol.DisassembleResponse["body"] | Refusal {
  const base = parsePlace(args.memoryReference);
  const place = base && moved(base, args.offset ?? 0);
  if (!base) return refusals.badReference(args.memoryReference);
  if (!place) return refusals.beyondSpace(args.memoryReference, args.offset ?? 0);
  const { instructionOffset: skipped = 0, instructionCount: count } = args;
  if (Math.abs(skipped) > MOST || count > MOST)
    return refusals.tooMuch("That many instructions", MOST);
  // VS Code's view knows one table by number: guest virtual code only.
  if (place.space !== "gva")
    return refusals.physicalCode(args.memoryReference, SPACES[place.space]);
  const vcpu = debuggee.machine.vcpus[debuggee.focus];
  if (!vcpu) throw new Error(`there is no vCPU ${debuggee.focus}`);
  const space = debuggee.machine.gva(vcpu.id, place.root);
  const listing = new Disassembler(
    debuggee.symbols,
    (address, length) => space.read(gva(address), length),
    codeBits(vcpu.state),
  );
  const rows = listing.window(place.address, skipped, count);
  return { instructions: rows.map((row) => instruction(debuggee, row)) };
}

function instruction(debuggee: Debuggee, row: Row): DebugProtocol.DisassembledInstruction {
  const line = row.valid ? debuggee.symbols.lineAt(row.address) : undefined;
  return {
    // A client reads this as a number; -1 is what it skips.
    address: row.address < 0n ? "-1" : hex(row.address),
    instruction: row.text,
    instructionBytes: [...row.bytes].map((b) => b.toString(16).padStart(2, "0")).join(" "),
    ...(row.symbol ? { symbol: row.symbol } : {}),
    ...(line ? { location: sourceOf(line.path), line: debuggee.client.line(line.line) } : {}),
    ...(row.valid ? {} : { presentationHint: "invalid" }),
  };
}
