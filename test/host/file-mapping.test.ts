import assert from "node:assert/strict";
import { type HostAction, performHostAction } from "../../src/host";
import { hpaOf } from "../../src/x86";
import { host, page } from "./host";

/** A file of three pages, its first bytes 1, 2 and 3, mapped shared at page 16 and private at page 32. */
function files() {
  const all = host();
  const { process, memory, trace } = all;
  const bytes = new Uint8Array(2 * 4096 + 1);
  for (const k of [0, 1, 2]) bytes[k * 4096] = k + 1;
  assert.equal(process.createFile("disk", 3, bytes), undefined);
  const map = (k: number, shared: boolean, firstPage = 0, pages = 3) =>
    process.mmap(page(k), pages * 4096, {
      kind: "file",
      file: "disk",
      firstPage,
      shared,
      writable: true,
    });
  map(16, true);
  map(32, false);
  const act = (action: HostAction, k: number) => performHostAction(process, trace, action, page(k));
  const put = (k: number, value: number): void => {
    const found = process.faultIn(page(k), true);
    if (found.kind === "page") memory.tables.store64(hpaOf(found.pfn), value, 0);
  };
  const get = (k: number): number | undefined => process.contents(page(k))?.[0];
  const sound = (): void => assert.deepEqual(process.check(), []);
  return { ...all, map, act, put, get, sound };
}

describe("mappings of files", () => {
  it("F-039 show the file, through one frame for all who share it", () => {
    const { process, map, put, get, sound } = files();
    assert.deepEqual([16, 17, 18].map(get), [1, 2, 3]);
    map(40, true, 1, 2);
    put(17, 9);
    assert.equal(process.faultIn(page(40), false).kind, "page");
    assert.equal(process.translate(page(40)), process.translate(page(17)));
    assert.equal(get(40), 9);
    assert.equal(get(33), 9, "a private page shows the file until it is written");
    sound();
  });

  it("F-039 a write to a private mapping goes to a copy", () => {
    const { process, heard, put, get, sound } = files();
    assert.deepEqual(
      { ...process.faultIn(page(32), false), pfn: 0 },
      { kind: "page", pfn: 0, writable: false },
    );
    process.faultIn(page(16), false);
    heard.length = 0;
    put(32, 7);
    assert.deepEqual(heard, ["n start 32-33", "host_cow", "n end 32-33"]);
    put(33, 8);
    assert.deepEqual([16, 17, 32, 33].map(get), [1, 2, 7, 8]);
    sound();
  });

  it("memory that runs short sends written pages to the file, and copies to swap", () => {
    const { process, memory, act, put, get, sound } = files();
    put(16, 6);
    put(32, 7);
    process.faultIn(page(17), false);
    for (const k of [16, 17, 32]) assert.equal(act("swap-out", k).kind, "done");
    assert.equal(memory.zones.guest.count, 0);
    assert.deepEqual([16, 17, 32].map(get), [6, 2, 7]);
    assert.deepEqual(
      [process.page(page(16))?.swapped, process.page(page(32))?.swapped],
      [false, true],
    );
    sound();
    put(32, 1);
    assert.equal(process.faultIn(page(16), false).kind, "page");
    assert.equal(get(16), 6);
    sound();
  });

  it("the page cache keeps a page that was unmapped, and what was written to it", () => {
    const { process, memory, put, get, map, sound } = files();
    put(16, 6);
    process.munmap(page(16), 3 * 4096);
    assert.equal(memory.zones.guest.count, 1);
    sound();
    map(16, true);
    assert.equal(get(16), 6);
  });

  it("migration takes the cache along", () => {
    const { process, act, get, put, sound } = files();
    put(16, 5);
    process.faultIn(page(32), false);
    assert.equal(act("migrate", 32).kind, "done");
    assert.equal(process.translate(page(16)), process.translate(page(32)));
    put(16, 4);
    assert.equal(get(32), 4);
    sound();
  });

  it("failure to fault in: beyond the end of the file", () => {
    const { process, map } = files();
    map(40, true, 2, 2);
    assert.equal(process.faultIn(page(40), true).kind, "page");
    assert.equal(process.faultIn(page(41), true).kind, "past-end-of-file");
    assert.equal(process.contents(page(41)), undefined);
    assert.match(
      JSON.stringify(
        process.mmap(page(50), 4096, {
          kind: "file",
          file: "no",
          firstPage: 0,
          shared: true,
          writable: true,
        }),
      ),
      /there is no file \\"no\\": create it first/,
    );
  });

  it("F-039 a file that is cut takes all that showed its end along, copies too", () => {
    const { process, memory, act, put, get, heard, sound } = files();
    put(16, 5);
    put(18, 6);
    put(34, 7);
    heard.length = 0;
    assert.equal(act("truncate", 17).kind, "done");
    assert.deepEqual(
      heard.filter((text) => text.includes("start")),
      ["n start 17-19", "n start 33-35"],
    );
    assert.deepEqual([16, 17, 18, 33, 34].map(get), [
      5,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    assert.equal(process.faultIn(page(34), false).kind, "past-end-of-file");
    assert.equal(memory.zones.guest.count, 1);
    sound();
  });

  it("F-039 of a file that is lost only what is in memory can be used", () => {
    const { process, act, put, get, sound } = files();
    put(16, 5);
    assert.equal(act("lose-file", 16).kind, "done");
    assert.deepEqual([16, 32, 17].map(get), [5, 5, undefined]);
    assert.equal(process.faultIn(page(17), false).kind, "file-lost");
    assert.equal(process.faultIn(page(32), false).kind, "page");
    act("find-file", 16);
    assert.equal(get(17), 2);
    assert.match(
      JSON.stringify(act("lose-file", 1)),
      /not of a file, so there is nothing to lose-file/,
    );
    sound();
  });

  it("a poisoned page of the cache fails all who map the file", () => {
    const { process, act, put, get, sound } = files();
    put(16, 5);
    act("poison", 16);
    assert.equal(process.faultIn(page(32), false).kind, "poisoned");
    assert.equal(get(32), undefined);
    sound();
    act("unpoison", 16);
    assert.equal(get(32), 5);
    sound();
  });

  it("a state with files is restored", () => {
    const { process, memory, put, get, sound } = files();
    put(16, 6);
    put(32, 7);
    const saved = { process: process.save(), memory: memory.save() };
    put(16, 8);
    put(18, 8);
    memory.restore(saved.memory);
    process.restore(saved.process);
    assert.deepEqual([16, 18, 32].map(get), [6, 3, 7]);
    assert.deepEqual(process.save(), saved.process);
    sound();
  });
});
