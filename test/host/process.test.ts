import assert from "node:assert/strict";
import { GUEST_HVA, HostProcess, performHostAction } from "../../src/host";
import { hpaOf, hva, pfn, Trace } from "../../src/x86";
import { host, Listener, page } from "./host";

describe("HostProcess", () => {
  it("F-039 a page appears on its first use, zero, in the frame of its number", () => {
    const { process, memory, events } = host();
    assert.equal(process.translate(page(3)), undefined);
    assert.deepEqual(process.faultIn(hva(page(3) + 0x123), false), {
      kind: "page",
      pfn: 0x100003,
      writable: true,
    });
    assert.equal(process.translate(hva(page(3) + 0xfff)), 0x100003);
    assert.equal(process.translate(page(4)), undefined, "its neighbour does not");
    assert.equal(memory.tables.read64(hpaOf(pfn(0x100003))), 0n);
    assert.deepEqual(events[0]?.fields, { hva: page(3), pfn: 0x100003, level: 1, write: false });
    process.faultIn(page(3), true);
    assert.equal(events.length, 1, "resident pages make no event");
  });

  it("takes a spare frame when the home frame is in use", () => {
    const { process, memory } = host();
    memory.allocateAt(pfn(0x100002));
    assert.deepEqual(process.faultIn(page(2), true), {
      kind: "page",
      pfn: 0x10000f,
      writable: true,
    });
    assert.equal(process.hvaOf(pfn(0x10000f)), page(2));
  });

  it("says what it cannot do: no mapping, no right, no memory", () => {
    const { process } = host({ low: 1, guest: 2, mmu: 1 });
    assert.equal(process.faultIn(page(8), false).kind, "no-mapping");
    assert.equal(process.faultIn(hva(GUEST_HVA - 1), false).kind, "no-mapping");
    process.mmap(page(100), 4096, { kind: "anonymous", writable: false });
    assert.equal(process.faultIn(page(100), true).kind, "read-only");
    process.faultIn(page(0), true);
    assert.deepEqual(process.faultIn(page(100), false), {
      kind: "page",
      pfn: 0x100001,
      writable: false,
    });
    assert.equal(process.faultIn(page(1), true).kind, "out-of-memory");
  });

  it("keeps accessed and dirty marks, also those told by others", () => {
    const { process } = host();
    const marks = (k: number) => {
      const { accessed, dirty } = process.page(page(k)) ?? { accessed: false, dirty: false };
      return [accessed, dirty];
    };
    assert.deepEqual(marks(1), [false, false]);
    process.faultIn(page(1), false);
    assert.deepEqual(marks(1), [true, false]);
    process.markUsed(pfn(0x100001), true);
    assert.deepEqual(marks(1), [true, true]);
    process.faultIn(page(2), true);
    assert.deepEqual(marks(2), [true, true]);
    process.markUsed(pfn(0x100007), true);
    assert.deepEqual(marks(7), [false, false], "a frame nobody has is nobody's");
  });

  it("looking changes nothing", () => {
    const { process, memory, heard } = host();
    process.faultIn(page(1), false);
    const before = [process.save(), memory.save(), heard.length];
    process.translate(page(1));
    process.translate(page(2));
    process.page(page(2));
    assert.deepEqual([process.save(), memory.save(), heard.length], before);
    assert.equal(process.page(page(8)), undefined);
  });

  it("refuses a mapping that is ragged, empty, outside user space or in the way", () => {
    const process = new HostProcess(host().memory, new Trace());
    const map = (start: number, size: number) => {
      const outcome = process.mmap(hva(start), size, { kind: "anonymous", writable: true });
      return outcome.kind === "refused" ? outcome.reason : outcome.kind;
    };
    assert.equal(map(0x10000, 0x4000), "mapped");
    assert.equal(map(0x14000, 0x1000), "mapped");
    assert.match(map(0x20800, 0x1000), /hva 0x20800, size 0x1000: both must be multiples/);
    assert.match(map(0x20000, 0x800), /multiples/);
    assert.match(map(0x20000, 0), /not zero/);
    assert.match(map(2 ** 47 - 0x1000, 0x2000), /choose another address/);
    assert.match(map(0xf000, 0x2000), /already mapped by the area at 0x10000: unmap it first/);
    assert.deepEqual(
      process.mappings.map((m) => [m.start, m.pages]),
      [
        [0x10000, 4],
        [0x14000, 1],
      ],
    );
  });

  it("F-164 unmapping tells the notifiers, frees the frames and splits the mapping", () => {
    const { process, memory, heard } = host();
    for (const k of [0, 2, 3, 7]) process.faultIn(page(k), true);
    heard.length = 0;
    assert.equal(process.munmap(page(2), 3 * 4096).kind, "unmapped");
    assert.deepEqual(heard, ["n start 2-5", "n end 2-5"]);
    assert.equal(memory.zones.guest.count, 2);
    assert.equal(process.hvaOf(pfn(0x100002)), undefined);
    assert.deepEqual(
      [1, 2, 4, 5].map((k) => process.faultIn(page(k), false).kind),
      ["page", "no-mapping", "no-mapping", "page"],
    );
    assert.equal(process.translate(page(0)), 0x100000);
    assert.equal(process.translate(page(7)), 0x100007);
    assert.ok(process.page(page(7))?.dirty, "marks go along");
    assert.equal(process.munmap(hva(page(0) + 1), 4096).kind, "refused");
  });

  it("a page that was unmapped while swapped out does not come back with its bytes", () => {
    const { process, memory, trace } = host();
    const found = process.faultIn(page(2), true);
    if (found.kind === "page") memory.tables.store64(hpaOf(found.pfn), 1, 1);
    performHostAction(process, trace, "swap-out", page(2));
    process.munmap(page(2), 4096);
    process.mmap(page(2), 4096, { kind: "anonymous", writable: true });
    const again = process.faultIn(page(2), false);
    assert.equal(again.kind === "page" && memory.tables.read64(hpaOf(again.pfn)), 0n);
  });

  it("a restored process owns the frames it owned then, and no others", () => {
    const { process } = host();
    process.faultIn(page(1), true);
    const saved = process.save();
    process.faultIn(page(2), true);
    process.restore(saved);
    assert.equal(process.hvaOf(pfn(0x100001)), page(1));
    assert.equal(process.hvaOf(pfn(0x100002)), undefined);
  });

  it("the end of the process is told to the notifiers that are still registered", () => {
    const { process, heard } = host();
    const unregister = process.notifiers.register(new Listener("x", heard));
    process.notifiers.release();
    unregister();
    process.notifiers.release();
    assert.deepEqual(heard, ["n release", "x release", "n release"]);
  });

  it("host pages are mapped at 4 KiB", () => {
    assert.equal(host().process.mappingLevel(page(0)), 1);
  });
});
