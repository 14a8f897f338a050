import assert from "node:assert/strict";
import { type HostAction, performHostAction } from "../../src/host";
import { hpaOf, pfn } from "../../src/x86";
import { host, Listener, page } from "./host";

/** Pages 1, 2 and 3 have the same bytes. */
function same() {
  const all = host();
  const { process, memory, trace, heard } = all;
  for (const k of [1, 2, 3]) {
    process.faultIn(page(k), true);
    memory.tables.store64(hpaOf(pfn(0x100000 + k), 0x40), 0xabcd, 0);
  }
  heard.length = 0;
  const act = (action: HostAction, k: number) => performHostAction(process, trace, action, page(k));
  const frames = (): unknown[] => [1, 2, 3].map((k) => process.translate(page(k)));
  const sound = (): void => assert.deepEqual(process.check(), []);
  return { ...all, act, frames, sound };
}

describe("same-page merging", () => {
  it("F-007 two pages with the same bytes come to share a frame, read-only", () => {
    const { process, memory, heard, act, frames, sound } = same();
    assert.equal(act("merge", 2).kind, "done");
    assert.deepEqual(heard, ["n start 1-2", "n end 1-2", "n start 2-3", "host_merge", "n end 2-3"]);
    assert.deepEqual(frames(), [0x100001, 0x100001, 0x100003]);
    assert.ok(!memory.isAllocated(pfn(0x100002)));
    assert.deepEqual(process.faultIn(page(1), false), {
      kind: "page",
      pfn: 0x100001,
      writable: false,
    });
    assert.deepEqual(process.hvasOf(pfn(0x100001)), [page(1), page(2)]);
    assert.equal(process.page(page(2))?.sharers, 2);
    assert.equal(process.isWritable(page(2)), false);
    act("merge", 3);
    assert.equal(process.page(page(3))?.sharers, 3);
    sound();
  });

  it("F-007 a write breaks the sharing: the writer gets a frame of its own, announced", () => {
    const { process, heard, act, frames, sound } = same();
    act("merge", 2);
    heard.length = 0;
    assert.deepEqual(process.faultIn(page(1), true), {
      kind: "page",
      pfn: 0x10000f,
      writable: true,
    });
    assert.deepEqual(heard, ["n start 1-2", "host_cow", "n end 1-2"]);
    assert.deepEqual(frames(), [0x10000f, 0x100001, 0x100003]);
    assert.equal(process.contents(page(1))?.[0x40], 0xcd);
    assert.equal(process.page(page(2))?.writable, false, "a merged page stays so to the last");
    assert.equal(process.faultIn(page(2), true).kind, "page");
    assert.notEqual(process.translate(page(2)), 0x100001);
    sound();
  });

  it("a page that is written to before it is protected is not merged", () => {
    for (const [writer, at] of [
      ["the page", 2],
      ["its twin", 1],
    ] as const) {
      const { process, memory, heard, act, frames, sound } = same();
      const listener = new Listener("w", heard);
      const started = listener.invalidateStart.bind(listener);
      listener.invalidateStart = (range) => {
        started(range);
        if (range.start === page(at))
          memory.tables.store64(hpaOf(pfn(0x100000 + at), 0x80), 0x1234, 0);
      };
      process.notifiers.register(listener);
      const outcome = act("merge", 2);
      assert.equal(outcome.kind, "refused", writer);
      assert.deepEqual(frames(), [0x100001, 0x100002, 0x100003], writer);
      assert.ok(!heard.includes("host_merge"), writer);
      sound();
    }
  });

  it("a notifier that asks for it is told of the new entry, before the old frame is free", () => {
    const { process, memory, heard, act } = same();
    const asking = Object.assign(new Listener("a", heard), {
      changePte: (at: number, frame: number, writable: boolean) =>
        heard.push(`a pte ${(at - page(0)) / 4096} ${frame.toString(16)} ${writable}`),
    });
    process.notifiers.register(asking);
    process.notifiers.register({
      ...asking,
      changePte: () => heard.push(`free ${!memory.isAllocated(pfn(0x100002))}`),
    } as never);
    act("merge", 2);
    assert.deepEqual(heard, [
      ..."n start 1-2|a pte 1 100001 false|free false|n end 1-2".split("|"),
      ..."n start 2-3|a pte 2 100001 false|free false|host_merge|n end 2-3".split("|"),
    ]);
  });

  it("a shared page is swapped and moved for all who have it", () => {
    const { process, heard, memory, act, frames, sound } = same();
    act("merge", 2);
    heard.length = 0;
    act("migrate", 1);
    assert.deepEqual(heard, [
      "n start 1-2",
      "n start 2-3",
      "host_migrate",
      "n end 1-2",
      "n end 2-3",
    ]);
    assert.deepEqual(frames(), [0x10000f, 0x10000f, 0x100003]);
    assert.equal(process.isWritable(page(1)), false);
    sound();
    act("swap-out", 2);
    assert.deepEqual(frames(), [undefined, undefined, 0x100003]);
    assert.equal(memory.zones.guest.count, 1);
    sound();
    for (const k of [1, 2]) {
      process.faultIn(page(k), true);
      assert.equal(process.contents(page(k))?.[0x40], 0xcd);
    }
    sound();
  });

  it("use seen elsewhere is marked at every page of a shared frame", () => {
    const { process, act } = same();
    act("merge", 2);
    for (const k of [1, 2]) process.mappingAt(page(k))?.clear(k, 3);
    process.markUsed(pfn(0x100001), true);
    assert.deepEqual(
      [1, 2].map((k) => process.page(page(k))?.dirty),
      [true, true],
    );
  });

  it("refuses what cannot be merged", () => {
    const { process, memory, act } = same();
    memory.tables.store64(hpaOf(pfn(0x100003), 0), 1, 0);
    assert.match(JSON.stringify(act("merge", 3)), /no other page has the bytes/);
    act("merge", 2);
    assert.match(JSON.stringify(act("merge", 1)), /merged already: write to it/);
    assert.equal(process.translate(page(3)), 0x100003);
  });

  it("a state with merged pages is restored", () => {
    const { process, memory, act, sound } = same();
    act("merge", 2);
    const saved = { process: process.save(), memory: memory.save() };
    process.faultIn(page(1), true);
    memory.restore(saved.memory);
    process.restore(saved.process);
    assert.deepEqual(process.hvasOf(pfn(0x100001)), [page(1), page(2)]);
    assert.match(JSON.stringify(act("merge", 1)), /merged already/);
    sound();
  });
});
