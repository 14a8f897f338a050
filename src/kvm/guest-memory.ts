import type { HostMemory, HostProcess } from "../host";
import { type Entry, type Gfn, type Gpa, gfnOf, gpa, PAGE_SIZE, pageOffset } from "../x86";
import type { MemorySlot, SlotSet } from "./memslots";

/** No memory behind an address. */
export const NO_FRAME = -1;

/** Who hears what guest memory is used for. */
export interface GuestMemoryListener {
  /** A frame was written: news for the dirty log. */
  written(slot: MemorySlot, frame: Gfn): void;
  /** A host page may have to be waited for. */
  sleeps(): void;
}

/**
 * Guest physical memory as KVM reaches it: gpa → slot → hva → host frame → bytes. Reading and writing
 * fault pages in like its own accesses; `peek` changes nothing.
 */
export class GuestMemory {
  constructor(
    private readonly memory: HostMemory,
    private readonly hostProcess: HostProcess,
    private readonly slots: SlotSet,
    private readonly told: GuestMemoryListener,
  ) {}

  /** Byte offset, in the machine's memory, of the frame that `frame` is backed by, made resident. */
  frameOffset(frame: Gfn, write: boolean): number {
    const slot = this.slots.find(frame);
    if (!slot?.visible || (write && slot.readonly)) return NO_FRAME;
    const resident = write ? undefined : this.hostProcess.translate(slot.hvaOf(frame));
    if (resident !== undefined) return this.memory.offsetOf(resident);
    this.told.sleeps();
    const page = this.hostProcess.faultIn(slot.hvaOf(frame), write);
    return page.kind === "page" ? this.memory.offsetOf(page.pfn) : NO_FRAME;
  }

  /** The same without side effects, and without waiting: `NO_FRAME` also when the page is not resident. */
  peekOffset(frame: Gfn): number {
    const slot = this.slots.find(frame);
    const pfn = slot?.visible ? this.hostProcess.translate(slot.hvaOf(frame)) : undefined;
    return pfn === undefined ? NO_FRAME : this.memory.offsetOf(pfn);
  }

  /** Reads an aligned guest entry; false when there is no memory. */
  readEntry(at: Gpa, bytes: 4 | 8, entry: Entry): boolean {
    return this.load(this.frameOffset(gfnOf(at), false), at, bytes, entry);
  }
  /** kvm_vcpu_read_guest_atomic: what may be read under mmu_lock. */
  peekEntry(at: Gpa, bytes: 4 | 8, entry: Entry): boolean {
    return this.load(this.peekOffset(gfnOf(at)), at, bytes, entry);
  }

  private load(offset: number, at: Gpa, bytes: 4 | 8, entry: Entry): boolean {
    if (offset === NO_FRAME) return false;
    const word = (offset + pageOffset(at)) >>> 2;
    entry.lo = this.memory.words[word]!;
    entry.hi = bytes === 8 ? this.memory.words[word + 1]! : 0;
    return true;
  }

  /** True when the frame may be written through KVM: in a slot that is not read-only. */
  isWritable(frame: Gfn): boolean {
    const slot = this.slots.find(frame);
    return slot?.visible === true && !slot.readonly;
  }

  /** Stores bytes that lie in one page; false, with nothing stored, where the guest cannot write RAM. */
  write(at: Gpa, bytes: Uint8Array): boolean {
    const frame = gfnOf(at);
    const offset = this.frameOffset(frame, true);
    if (offset === NO_FRAME) return false;
    this.memory.bytes.set(bytes, offset + pageOffset(at));
    this.noteWrite(frame);
    return true;
  }

  noteWrite(frame: Gfn): void {
    const slot = this.slots.find(frame);
    if (slot) this.told.written(slot, frame);
  }

  /** Bytes from `at` to the first hole or page that is not resident, for a debugger. */
  peek(at: Gpa, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const from = gpa(at + done);
      const offset = this.peekOffset(gfnOf(from));
      if (offset === NO_FRAME) break;
      const chunk = Math.min(length - done, PAGE_SIZE - pageOffset(from));
      const start = offset + pageOffset(from);
      bytes.set(this.memory.bytes.subarray(start, start + chunk), done);
      done += chunk;
    }
    return bytes.subarray(0, done);
  }

  /** Stores bytes across pages; the number stored before the first page that cannot be written. */
  writeAll(at: Gpa, bytes: Uint8Array): number {
    let done = 0;
    while (done < bytes.length) {
      const to = gpa(at + done);
      const chunk = Math.min(bytes.length - done, PAGE_SIZE - pageOffset(to));
      if (!this.write(to, bytes.subarray(done, done + chunk))) break;
      done += chunk;
    }
    return done;
  }
}
