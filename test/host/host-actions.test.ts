import assert from "node:assert/strict";
import { agePage, type HostAction, performHostAction } from "../../src/host";
import { hpaOf, pfn } from "../../src/x86";
import { host, Listener, page } from "./host";

function touched() {
  const all = host();
  const { process, memory, trace, heard } = all;
  process.faultIn(page(2), true);
  memory.tables.store64(hpaOf(pfn(0x100002), 0x40), 0xabcd, 0);
  heard.length = 0;
  const act = (action: HostAction, k = 2) => performHostAction(process, trace, action, page(k));
  return { ...all, act };
}

describe("host actions", () => {
  it("F-082 swapping out runs start, change, end, and frees the frame", () => {
    const { process, memory, heard, act } = touched();
    assert.deepEqual(act("swap-out"), { kind: "done" });
    assert.deepEqual(heard, ["n start 2-3", "host_swap_out", "n end 2-3"]);
    assert.equal(process.translate(page(2)), undefined);
    assert.ok(!memory.isAllocated(pfn(0x100002)));
    assert.ok(process.page(page(2))?.swapped);
  });

  it("F-007 the page is still in its place while the notifiers are told", () => {
    const { process, act } = touched();
    const seen: unknown[] = [];
    const listener = new Listener("m", []);
    listener.invalidateStart = () => seen.push(process.translate(page(2)));
    listener.invalidateEnd = () => seen.push(process.translate(page(2)));
    process.notifiers.register(listener);
    act("swap-out");
    assert.deepEqual(seen, [0x100002, undefined]);
  });

  it("F-007 a page comes back from swap with its bytes, in another frame", () => {
    const { process, memory, events, act } = touched();
    act("swap-out");
    assert.deepEqual(process.faultIn(page(2), false), {
      kind: "page",
      pfn: 0x10000f,
      writable: true,
    });
    assert.equal(memory.tables.read64(hpaOf(pfn(0x10000f), 0x40)), 0xabcdn);
    assert.equal(events.at(-1)?.name, "host_swap_in");
    assert.deepEqual(
      [process.page(page(2))?.swapped, process.page(page(2))?.dirty],
      [false, false],
    );
    act("swap-out");
    assert.equal(process.faultIn(page(2), false).kind, "page");
  });

  it("F-007 migration keeps the bytes and changes the frame", () => {
    const { process, memory, heard, events, act } = touched();
    assert.deepEqual(act("migrate"), { kind: "done" });
    assert.deepEqual(heard, ["n start 2-3", "host_migrate", "n end 2-3"]);
    assert.deepEqual(events.at(-1)?.fields, { hva: page(2), old: 0x100002, pfn: 0x10000f });
    assert.equal(process.translate(page(2)), 0x10000f);
    assert.equal(process.hvaOf(pfn(0x10000f)), page(2));
    assert.equal(process.hvaOf(pfn(0x100002)), undefined);
    assert.equal(memory.tables.read64(hpaOf(pfn(0x10000f), 0x40)), 0xabcdn);
    assert.equal(memory.zones.guest.count, 1);
  });

  it("an action is announced before what it does, and not when it is refused", () => {
    const { events, act } = touched();
    events.length = 0;
    act("migrate");
    act("migrate", 3);
    assert.deepEqual(
      events.map(({ name }) => name),
      ["host_action", "host_migrate"],
    );
    assert.deepEqual(events[0]?.fields, { action: "migrate", hva: page(2) });
  });

  it("refuses what cannot be done, and says what to do", () => {
    const { process, trace, act, heard } = touched();
    const reason = (action: HostAction, k: number) => {
      const outcome = act(action, k);
      return outcome.kind === "refused" ? outcome.reason : outcome.kind;
    };
    assert.match(reason("swap-out", 8), /0x7f0000008000 is not mapped: choose/);
    assert.match(reason("migrate", 3), /not resident, so there is nothing to migrate: touch/);
    assert.match(reason("merge", 2), /no other page has the bytes of .*2000: give/);
    assert.match(reason("collapse", 2), /2 MiB around it are not all in one mapping/);
    assert.match(reason("split", 2), /not in a huge page: collapse/);
    const full = host({ low: 1, guest: 1, mmu: 1 });
    full.process.faultIn(page(0), true);
    full.heard.length = 0;
    const outcome = performHostAction(full.process, trace, "migrate", page(0));
    assert.match(outcome.kind === "refused" ? outcome.reason : "", /no free host frame/);
    assert.deepEqual([heard, full.heard], [[], []], "nobody is told of a change that is none");
    assert.equal(process.translate(page(2)), 0x100002);
  });

  it("a page is young once after its last use, whoever saw it", () => {
    const { process, heard, listener } = touched();
    assert.equal(agePage(process, page(2)), "young");
    assert.equal(agePage(process, page(2)), "old");
    listener.young = true;
    assert.equal(agePage(process, page(2)), "young");
    assert.deepEqual(heard, Array(3).fill("n clear-flush 2-3"));
    assert.equal(agePage(process, page(3)), "absent");
    assert.equal(agePage(process, page(99)), "absent");
    assert.equal(heard.length, 3);
  });

  it("asks every notifier about use, also after a yes", () => {
    const { process, heard, listener } = host();
    const second = new Listener("m", heard);
    process.notifiers.register(second);
    listener.young = true;
    const range = { start: page(0), end: page(2) };
    assert.ok(process.notifiers.clearFlushYoung(range));
    assert.ok(process.notifiers.testYoung(range));
    listener.young = false;
    assert.ok(!process.notifiers.clearYoung(range));
    assert.deepEqual(heard, [
      ..."n clear-flush 0-2|m clear-flush 0-2|n test 0-2|m test 0-2".split("|"),
      ..."n clear 0-2|m clear 0-2".split("|"),
    ]);
  });
});
