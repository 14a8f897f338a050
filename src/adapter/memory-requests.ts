import type { DebugProtocol } from "@vscode/debugprotocol";
import type { ByteSpace } from "../machine";
import type { Debuggee } from "./debuggee";
import { formatPlace, hex, moved, type Place, parsePlace } from "./memory-reference";
import { Refusal, refusals } from "./refusal";

/** At most this much at once: a client that asks for more pages on. */
const LARGEST = 1 << 20;

type Read = DebugProtocol.ReadMemoryResponse["body"];
type Write = DebugProtocol.WriteMemoryResponse["body"];

/** The bytes of any space, and how many are unreadable before the next that can be read. */
export function readMemory(
  debuggee: Debuggee,
  { memoryReference, offset = 0, count: wanted }: DebugProtocol.ReadMemoryArguments,
): Read | Refusal {
  const place = placeAt(memoryReference, offset);
  if (place instanceof Refusal) return place;
  const address = hex(place.address);
  const count = Math.min(wanted, LARGEST);
  if (count <= 0) return { address };
  debuggee.read.note(memoryReference, offset, count);
  const space = spaceOf(debuggee, place);
  const bytes = space.read(place.address, count);
  const body = { address, data: base64(bytes) };
  if (bytes.length === count) return body;
  const hole = moved(place, bytes.length);
  const next = hole && space.nextMapped(hole.address);
  const distance = hole && next !== undefined ? BigInt(next) - BigInt(hole.address) : Infinity;
  return { ...body, unreadableBytes: Math.min(Number(distance), count - bytes.length) };
}

/** All or nothing, unless the client allows part of it. */
export function writeMemory(
  debuggee: Debuggee,
  { memoryReference, offset = 0, data, allowPartial }: DebugProtocol.WriteMemoryArguments,
): Write | Refusal {
  const place = placeAt(memoryReference, offset);
  if (place instanceof Refusal) return place;
  const bytes = fromBase64(data);
  const space = spaceOf(debuggee, place);
  const before = space.read(place.address, bytes.length);
  const all = before.length === bytes.length;
  const bytesWritten = all || allowPartial ? space.write(place.address, bytes) : 0;
  if (bytesWritten < bytes.length && !allowPartial) {
    // A page amid them may be readable only: what came before it gets its old bytes back.
    space.write(place.address, before.subarray(0, bytesWritten));
    const at = hex(BigInt(place.address) + BigInt(all ? bytesWritten : before.length));
    const why = all ? "may not be written" : "is no memory";
    return refusals.unwritable(
      `Cannot write ${bytes.length} bytes at ${formatPlace(place)}: ${at} ${why}.`,
    );
  }
  debuggee.edited();
  debuggee.read.note(memoryReference, offset, bytesWritten);
  for (const event of debuggee.read.all()) debuggee.send(event);
  return { offset, bytesWritten };
}

function placeAt(reference: string, offset: number): Place | Refusal {
  const place = parsePlace(reference);
  if (!place) return refusals.badReference(reference);
  return moved(place, offset) ?? refusals.beyondSpace(reference, offset);
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
