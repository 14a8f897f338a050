import type { HostMemory } from "../../host";
import {
  type Entry,
  type ExchangeOutcome,
  type Gpa,
  gfnOf,
  PAGE_SIZE,
  type TablePort,
} from "../../x86";
import { type GuestMemory, NO_FRAME } from "../guest-memory";

/** Guest tables through memslots: what KVM's guest walker reads, and where it sets A/D bits. */
export class GuestTablePort implements TablePort<Gpa> {
  constructor(
    private readonly guest: GuestMemory,
    private readonly memory: HostMemory,
  ) {}

  load(at: Gpa, bytes: 4 | 8, entry: Entry): boolean {
    return this.guest.readEntry(at, bytes, entry);
  }

  exchange(at: Gpa, bytes: 4 | 8, expected: Entry, desired: Entry): ExchangeOutcome {
    const { guest, memory } = this;
    const frame = gfnOf(at);
    const offset = guest.frameOffset(frame, true);
    // Also where the slot may be written and the host's mapping may not.
    if (offset === NO_FRAME) return "read-only";
    const word = (offset + (at % PAGE_SIZE)) >>> 2;
    if (memory.words[word] !== expected.lo) return "changed";
    if (bytes === 8 && memory.words[word + 1] !== expected.hi) return "changed";
    memory.words[word] = desired.lo;
    if (bytes === 8) memory.words[word + 1] = desired.hi;
    guest.noteWrite(frame);
    return "done";
  }
}
