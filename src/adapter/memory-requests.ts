import { MemoryEvent } from "@vscode/debugadapter";
import type { DebugProtocol } from "@vscode/debugprotocol";
import type { ByteSpace } from "../machine";
import type { Debuggee } from "./debuggee";
import { formatPlace, hex, moved, type Place, parsePlace } from "./memory-reference";
import { type Refusal, refusals } from "./refusal";

/** At most this much at once: a client that asks for more pages on. */
const LARGEST = 1 << 20;

type Read = DebugProtocol.ReadMemoryResponse["body"];
type Write = DebugProtocol.WriteMemoryResponse["body"];

/** The bytes of any space, and how many are unreadable before the next that can be read. */
export function readMemory(
  debuggee: Debuggee,
  args: DebugProtocol.ReadMemoryArguments,
): Read | Refusal {
  const place = placeAt(args.memoryReference, args.offset);
  if (!place) return refusals.badReference(args.memoryReference);
  const address = hex(place.address);
  const count = Math.min(args.count, LARGEST);
  if (count <= 0) return { address };
  const space = spaceOf(debuggee, place);
  const bytes = space.read(place.address, count);
  const body = { address, data: base64(bytes) };
  if (bytes.length === count) return body;
  const hole = moved(place, bytes.length);
  const next = hole && space.nextMapped(hole.address);
  const distance =
    hole && next !== undefined ? Number(BigInt(next) - BigInt(hole.address)) : Infinity;
  return { ...body, unreadableBytes: Math.min(distance, count - bytes.length) };
}

/** All or nothing, unless the client allows part of it. */
export function writeMemory(
  debuggee: Debuggee,
  args: DebugProtocol.WriteMemoryArguments,
): Write | Refusal {
  const place = placeAt(args.memoryReference, args.offset);
  if (!place) return refusals.badReference(args.memoryReference);
  const bytes = fromBase64(args.data);
  const space = spaceOf(debuggee, place);
  if (!args.allowPartial && space.read(place.address, bytes.length).length < bytes.length) {
    const where = formatPlace(place);
    return refusals.unwritable(
      `Cannot write ${bytes.length} bytes at ${where}: not all of them are memory.`,
    );
  }
  const bytesWritten = space.write(place.address, bytes);
  debuggee.edited();
  debuggee.sendEvent(new MemoryEvent(args.memoryReference, args.offset ?? 0, bytesWritten));
  return { offset: args.offset ?? 0, bytesWritten };
}

function placeAt(reference: string, offset = 0): Place | undefined {
  const place = parsePlace(reference);
  return place && moved(place, offset);
}

/** The space of a place, with its address type forgotten: `place.address` is always of that space. */
function spaceOf(debuggee: Debuggee, place: Place): ByteSpace<Place["address"]> {
  const { machine } = debuggee;
  const space =
    place.space === "gva" ? machine.gva(debuggee.focus, place.root) : machine[place.space];
  return space as unknown as ByteSpace<Place["address"]>; // chosen by place.space just now
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));
