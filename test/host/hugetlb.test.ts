import assert from "node:assert/strict";
import { type Backing, GUEST_HVA } from "../../src/host";
import { hva, pfn } from "../../src/x86";
import { page, workbench } from "./host";

const HUGETLB: Backing = { kind: "hugetlb", writable: true, level: 2 };
const hugetlbHost = (guest = 3 * 512) => workbench(HUGETLB, 1024, { low: 1, guest, mmu: 1 });

describe("hugetlb memory", () => {
  it("F-039 is set aside when it is mapped, and comes in huge pages", () => {
    const { process, memory, kind, sound } = hugetlbHost();
    assert.equal(memory.zones.guest.count, 1024);
    assert.equal(process.translate(page(0)), undefined);
    sound();
    assert.equal(kind(700), "page");
    assert.equal(process.mappingLevel(page(513)), 2);
    assert.equal(process.translate(page(512)), 0x100200);
    assert.equal(memory.zones.guest.count, 1024);
    sound();
  });

  it("is refused when there are too few, and then takes none", () => {
    const { process, memory } = hugetlbHost();
    const outcome = process.mmap(hva(GUEST_HVA + 0x400000), 0x400000, HUGETLB);
    assert.match(JSON.stringify(outcome), /too few free huge pages for hva 0x7f0000400000/);
    assert.equal(memory.zones.guest.count, 1024);
    const ragged = process.mmap(hva(GUEST_HVA + 0x401000), 0x200000, HUGETLB);
    assert.match(JSON.stringify(ragged), /must be multiples of the huge page's 0x200000/);
  });

  it("is never reclaimed, merged, split or cut, but moves", () => {
    const { process, put, get, reason, sound } = hugetlbHost();
    put(5, 55);
    assert.match(reason("swap-out", 5), /kind hugetlb, which is never reclaimed/);
    assert.match(reason("merge", 5), /not anonymous/);
    assert.match(reason("split", 5), /huge page of a hugetlb mapping, which is never split/);
    assert.match(reason("discard", 5), /inside a huge page of a hugetlb mapping: choose a mult/);
    assert.match(reason("read-only", 5), /inside a huge page/);
    assert.equal(process.munmap(page(5), 4096).kind, "refused");
    assert.equal(reason("migrate", 5), "done");
    assert.equal(process.translate(page(0)), 0x100400);
    assert.equal(get(5), 55);
    assert.equal(process.reclaim(10), 0);
    sound();
  });

  it("all of a huge page is poisoned", () => {
    const { process, put, get, kind, act, reason, heard, sound } = hugetlbHost();
    put(5, 55);
    heard.length = 0;
    act("poison", 9);
    assert.deepEqual(heard, ["n start 0-512", "host_poison", "n end 0-512"]);
    assert.deepEqual([kind(5), kind(511), kind(512)], ["poisoned", "poisoned", "page"]);
    assert.equal(process.memoryReport().poisoned, 512);
    sound();
    assert.equal(reason("unpoison", 100), "done");
    assert.equal(process.mappingLevel(page(0)), 2);
    assert.equal(get(5), 55);
    sound();
  });

  it("unmapping gives everything back, in use or set aside", () => {
    const { process, memory, put, sound } = hugetlbHost();
    put(5, 1);
    process.munmap(page(0), 512 * 4096);
    assert.equal(memory.zones.guest.count, 512);
    assert.equal(process.mappings[0]?.start, page(512));
    process.munmap(page(512), 512 * 4096);
    assert.equal(memory.zones.guest.count, 0);
    sound();
  });

  it("F-164 whole huge pages can be discarded: they are zero again, and still set aside", () => {
    const { process, memory, put, get, sound } = hugetlbHost();
    put(5, 1);
    assert.equal(process.discard(page(0), 512 * 4096).kind, "done");
    assert.equal(get(5), 0);
    assert.equal(memory.zones.guest.count, 1024);
    sound();
    put(5, 2);
    assert.equal(process.mappingLevel(page(5)), 2);
    sound();
  });

  it("a page of 1 GiB is one entry", () => {
    const pages = 512 * 512;
    const backing: Backing = { kind: "hugetlb", writable: true, level: 3 };
    const { process, memory, kind } = workbench(backing, pages, { low: 1, guest: pages, mmu: 1 });
    assert.equal(kind(pages - 1), "page");
    assert.equal(process.mappingLevel(page(0)), 3);
    assert.equal(process.translate(page(1)), pfn(0x100001));
    assert.equal(memory.zones.guest.count, pages);
    assert.equal(process.memoryReport().huge1g, pages);
  });

  it("a state with huge pages set aside is restored", () => {
    const { process, memory, put, sound } = hugetlbHost();
    put(5, 5);
    const saved = { process: process.save(), memory: memory.save() };
    process.munmap(page(0), 1024 * 4096);
    memory.restore(saved.memory);
    process.restore(saved.process);
    assert.deepEqual(process.save(), saved.process);
    sound();
    put(600, 6);
    sound();
  });
});
