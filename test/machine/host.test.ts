import assert from "node:assert/strict";
import { GUEST_HVA, type HostAction } from "../../src/host";
import {
  createMachine,
  type Machine,
  type MachineOptions,
  MEMORY_BACKINGS,
} from "../../src/machine";
import { gpa, type Hva, hva, PAGE_SIZE } from "../../src/x86";
import { CODE_AT, Code, guestImage, machineWith } from "./guest-code";

const MIB = 2 ** 20;
const COUNTER = 0x600000;
/** Writes a word to each of 256 pages, then counts for ever. */
const program = (): Uint8Array => {
  const code = new Code(CODE_AT).stack(0x300000);
  for (let i = 0; i < 256; i++) code.store(0x400000 + i * PAGE_SIZE, i + 1);
  const loop = code.here;
  code.increment(COUNTER).raw(0xeb, (loop - code.here - 2) & 0xff);
  return guestImage(code);
};
const image = program();
const hvaOf = (at: number): Hva => hva(GUEST_HVA + at);
const started = (options: Partial<MachineOptions> = {}): Machine => {
  const machine = machineWith(image, { mmu: "shadow", memory: 16 * MIB, ...options });
  assert.deepEqual(machine.run(10_000), { kind: "limit" });
  return machine;
};
const word = (machine: Machine, at: number): number =>
  new DataView(machine.gpa.read(gpa(at), 4).slice().buffer).getUint32(0, true);
function act(machine: Machine, action: HostAction, at: number): string {
  const outcome = machine.host?.perform(action, hvaOf(at));
  assert.ok(outcome);
  return outcome.kind === "refused" ? outcome.reason : outcome.kind;
}
const countsOn = (machine: Machine): boolean => {
  const before = word(machine, COUNTER);
  assert.deepEqual(machine.run(1000), { kind: "limit" });
  return word(machine, COUNTER) > before;
};

describe("the host under a machine", () => {
  it("F-039 a poisoned page stops the machine with a sentence, and it goes on when the page is back", () => {
    const machine = started();
    assert.equal(act(machine, "poison", COUNTER), "done");
    for (let i = 0; i < 2; i++) {
      const stop = machine.run(1000);
      assert.equal(stop.kind, "run-error");
      assert.match(
        stop.kind === "run-error" ? stop.text : "",
        /^the memory of hva 0x7f0000600000 behind a memslot is poisoned \(SIGBUS\): unpoison/,
      );
    }
    assert.equal(act(machine, "unpoison", COUNTER), "done");
    assert.ok(countsOn(machine));
  });

  it("F-039 a write to memory that the host made read-only stops the machine", () => {
    const machine = started();
    act(machine, "read-only", COUNTER);
    const stop = machine.run(1000);
    assert.match(stop.kind === "run-error" ? stop.text : "", /read-only in the host process/);
    act(machine, "writable", COUNTER);
    assert.ok(countsOn(machine));
  });

  it("F-039 a file that is cut or lost stops the machine", () => {
    const machine = started({ backing: "file" });
    act(machine, "swap-out", COUNTER);
    act(machine, "lose-file", COUNTER);
    const lost = machine.run(1000);
    assert.match(lost.kind === "run-error" ? lost.text : "", /its file is gone \(SIGBUS\)/);
    act(machine, "find-file", COUNTER);
    assert.ok(countsOn(machine));
    act(machine, "truncate", COUNTER);
    const cut = machine.run(1000);
    assert.match(cut.kind === "run-error" ? cut.text : "", /beyond the end of its file \(SIGBUS\)/);
  });

  for (const backing of MEMORY_BACKINGS.filter((name) => name !== "hugetlb-1g"))
    it(`F-039 a guest runs on memory that is ${backing}`, () => {
      const machine = started({ backing, check: true });
      for (let i = 0; i < 256; i++) assert.equal(word(machine, 0x400000 + i * PAGE_SIZE), i + 1);
      const level = backing === "thp" || backing === "hugetlb-2m" ? 2 : 1;
      assert.equal(machine.host?.page(hvaOf(0x400000))?.level, level);
      assert.ok(countsOn(machine));
    });

  it("slots may differ in what backs them", () => {
    const memslots = [
      { gpa: 0, size: 4 * MIB, flags: [] },
      { gpa: 4 * MIB, size: 4 * MIB, flags: [], backing: "hugetlb-2m" },
    ] as const;
    const machine = started({ memory: 8 * MIB, memslots, backing: "thp" });
    assert.ok((machine.host?.report().pinned ?? 0) >= 1024);
    assert.equal(act(machine, "split", 0x100000), "done");
    assert.match(act(machine, "split", 0x400000), /never split/);
  });

  it("refuses what cannot be, and says what to do", () => {
    const refusal = (options: Partial<MachineOptions>): string => {
      const made = createMachine({
        image,
        imageName: "image",
        memory: 16 * MIB,
        vcpus: 1,
        mmu: "shadow",
        era: "modern",
        ...options,
      });
      return made.kind === "refused" ? made.text : made.kind;
    };
    assert.match(refusal({ backing: "hugetlb-1g" }), /multiples of the huge page's 0x40000000/);
    assert.match(refusal({ backing: "thp", mmu: "none" }), /belong to a hypervisor: leave them/);
    assert.match(refusal({ hostMemory: 4096 }), /less than 1M .* choose more/);
    assert.match(refusal({ hostMemory: 16 * MIB, mmu: "none" }), /belong to a hypervisor/);
    assert.equal(started({ mmu: "none" }).host, undefined);
  });

  it("F-044 F-007 a guest with more memory than the host keeps every byte", () => {
    const machine = started({ hostMemory: MIB, check: true });
    const { used = 0, swapped = 0, limit } = machine.host?.report() ?? {};
    assert.equal(limit, 256);
    assert.ok(used <= 260 && swapped > 0, `${used} used, ${swapped} swapped`);
    for (let i = 0; i < 256; i++) assert.equal(word(machine, 0x400000 + i * PAGE_SIZE), i + 1);
    assert.ok(countsOn(machine));
  });

  it("F-044 the host takes pages and shadow pages when it is told to, and the guest goes on", () => {
    const machine = started();
    assert.equal(machine.host?.reclaim(16), 16);
    assert.ok((machine.host?.shrink(1) ?? 0) >= 1);
    assert.ok(countsOn(machine));
    assert.match(machine.host?.limit(5)?.text ?? "", /less than 1M/);
    assert.equal(machine.host?.limit(2 * MIB), undefined);
    assert.equal(machine.host?.report().limit, 512);
    machine.host?.limit(undefined);
    assert.equal(machine.host?.report().limit, undefined);
  });

  it("a machine that is restored amid host actions ends the same", () => {
    const play = (machine: Machine, from: number): unknown => {
      const actions = ["migrate", "merge", "swap-out", "collapse", "split", "discard"] as const;
      for (let i = from; i < 12; i++) {
        const action = actions[i % actions.length] ?? "migrate";
        machine.host?.perform(action, hvaOf(0x400000 + 16 * PAGE_SIZE * i));
        machine.host?.reclaim(3);
        machine.run(500);
      }
      return machine.save();
    };
    const whole = started({ backing: "thp" });
    play(whole, 0);
    const half = started({ backing: "thp" });
    const actions = half.save();
    const again = started({ backing: "thp" });
    again.run(777);
    again.restore(actions);
    assert.deepEqual(play(again, 0), whole.save());
  });
});
