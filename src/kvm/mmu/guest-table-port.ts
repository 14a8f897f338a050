import type { HostMemory } from "../../host";
import { type Entry, type ExchangeOutcome, type Gpa, gfnOf, type TablePort } from "../../x86";
import type { GuestMemory } from "../guest-memory";

/** Guest tables through memslots: what KVM's guest walker reads, and where it sets A/D bits. */
export class GuestTablePort implements TablePort<Gpa> {
  private readonly current: Entry = { lo: 0, hi: 0 };

  constructor(
    private readonly guest: GuestMemory,
    private readonly memory: HostMemory,
  ) {}

  load(at: Gpa, bytes: 4 | 8, entry: Entry): boolean {
    return this.guest.readEntry(at, bytes, entry);
  }

  exchange(at: Gpa, bytes: 4 | 8, expected: Entry, desired: Entry): ExchangeOutcome {
    const { guest, memory, current } = this;
    const frame = gfnOf(at);
    if (!guest.isWritable(frame)) return "read-only";
    if (!guest.readEntry(at, bytes, current)) return "changed";
    if (current.lo !== expected.lo || current.hi !== expected.hi) return "changed";
    const word = (guest.frameOffset(frame, true) + (at % 4096)) >>> 2;
    memory.words[word] = desired.lo;
    if (bytes === 8) memory.words[word + 1] = desired.hi;
    guest.noteWrite(frame);
    return "done";
  }
}
