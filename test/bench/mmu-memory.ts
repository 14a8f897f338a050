import { writeSync } from "node:fs";
import { COLD, MmuWorld } from "./mmu-world";

/**
 * What many live sptes take: processes of the guest that all map the same memory, so that the reverse
 * map of each frame has an entry for every process.
 *   node --expose-gc mmu-memory.js PAGES PROCESSES
 * Prints one JSON line. Guest memory, its tables and the host's knowledge of its pages are there
 * before; the frames of the shadow pages are counted.
 */
const TABLE_PAGES = 8192;
const MMU_PAGES = 4096;
const DATA_AT = 0x100000;
const [pages = 0x40000, processes = 4] = process.argv.slice(2).map(Number);

function bytesNow(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().rss;
}

const world = new MmuWorld(TABLE_PAGES, pages, MMU_PAGES);
const guests = Array.from({ length: processes }, () => world.addProcess(DATA_AT, pages, COLD));
world.setSlot(1, DATA_AT, pages, TABLE_PAGES);
for (let page = 0; page < pages; page++) world.makeResident(DATA_AT + page);
world.setSlot(1, 0, 0, 0);
const before = bytesNow();
world.setSlot(1, DATA_AT, pages, TABLE_PAGES);
for (const guest of guests) world.populate(guest, pages);
const bytes = bytesNow() - before;
writeSync(1, `${JSON.stringify({ sptes: world.vm.stats.pages_4k, bytes })}\n`);
