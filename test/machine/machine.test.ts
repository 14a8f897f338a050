import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Machine, MmuMode } from "../../src/machine";
import { type Gva, gpa, gpaOf, gva } from "../../src/x86";
import { buildElf } from "./elf-builder";
import { CODE_AT, Code, flatGdt, guestImage, idt, machineWith, outputOf } from "./guest-code";

const GDT = 0x110000;
const IDT = 0x111000;
const HANDLER = 0x112000;
const COUNTER = 0x113000;

/** Far jump to the next instruction: loads CS from the guest's own GDT. */
const reloadCs = (code: Code): Code => {
  const next = code.here + 7;
  return code.raw(0xea, next & 0xff, (next >> 8) & 0xff, (next >> 16) & 0xff, 0, 8, 0);
};

/** A guest with descriptor tables of its own, its handlers at `HANDLER`. */
function withHandlers(main: (code: Code) => Code, vectors: readonly number[], handler: Code) {
  const code = main(reloadCs(new Code().stack(0x180000).lgdt(GDT).lidt(IDT)));
  const handlers = Object.fromEntries(vectors.map((vector) => [vector, HANDLER]));
  return guestImage(
    code,
    { at: GDT, bytes: flatGdt(GDT) },
    { at: IDT, bytes: idt(IDT, handlers) },
    { at: HANDLER, bytes: handler.build() },
  );
}

const picSetUp = (code: Code): Code => {
  for (const [port, value] of [
    [0x20, 0x11],
    [0x21, 0x20],
    [0x21, 0x04],
    [0x21, 0x01],
    [0x21, 0xfe],
  ] as const)
    code.out8(port, value);
  return code;
};

/** Prints, counts ten timer interrupts in HLT, and leaves with 5. */
function timerGuest(): Uint8Array {
  const handler = new Code(HANDLER).increment(COUNTER).out8(0x20, 0x20).iret;
  return withHandlers(
    (code) => {
      picSetUp(code).print("go\n").out8(0x43, 0x34).out8(0x40, 0xa9).out8(0x40, 0x04).sti;
      const loop = code.here;
      return code.hlt.loopWhileBelow(COUNTER, 10, loop).exit(5);
    },
    [0x20],
    handler,
  );
}

for (const mmu of ["none", "shadow", "ept", "npt"] as const satisfies readonly MmuMode[])
  describe(`machine (mmu: ${mmu})`, () => {
    const make = (image: Uint8Array, more = {}): Machine => machineWith(image, { mmu, ...more });

    it("runs a guest to its exit and hands on what it prints", () => {
      const machine = make(guestImage(new Code().print("Hello\n").exit(21)));
      const output = outputOf(machine);
      assert.deepEqual(machine.run(1000), { kind: "exit", value: 21 });
      assert.equal(output.text, "Hello\n");
      assert.deepEqual(machine.ended, { kind: "exit", value: 21 });
      assert.deepEqual(machine.run(1000), { kind: "exit", value: 21 });
    });

    it("stops at the limit, to the instruction, and goes on", () => {
      const machine = make(guestImage(new Code().nop(100).exit(0)));
      assert.deepEqual(machine.run(60), { kind: "limit" });
      assert.equal(machine.tick, 60);
      assert.equal(machine.vcpus[0]?.state.rip, BigInt(CODE_AT + 60));
      assert.deepEqual(machine.run(1000), { kind: "exit", value: 0 });
      assert.equal(machine.tick, 103);
    });

    it("steps one instruction", () => {
      const machine = make(guestImage(new Code().nop(3).exit(0)));
      for (let i = 1; i <= 3; i++) {
        assert.deepEqual(machine.step(0), { kind: "limit" });
        assert.equal(machine.vcpus[0]?.state.rip, BigInt(CODE_AT + i));
      }
    });

    it("stops before a breakpoint, also where a turn ends, and passes it when going on", () => {
      const at = BigInt(CODE_AT + 20);
      for (const quantum of [1, 20, 1000]) {
        const machine = make(guestImage(new Code().nop(40).exit(0)), { quantum });
        machine.setBreakpoints(new Set([at]));
        assert.deepEqual(machine.run(1000), { kind: "breakpoint", vcpu: 0, address: gva(at) });
        assert.equal(machine.tick, 20);
        assert.deepEqual(machine.run(1000), { kind: "exit", value: 0 });
      }
    });

    it("runs real-mode code from 0:7c00", () => {
      // mov al, 'R'; mov dx, 3f8h; out dx, al; mov dx, f4h; mov eax, 2; out dx, eax
      const code = [
        0xb0, 0x52, 0xba, 0xf8, 3, 0xee, 0xba, 0xf4, 0, 0x66, 0xb8, 2, 0, 0, 0, 0x66, 0xef,
      ];
      const machine = make(Uint8Array.from(code), { imageName: "boot.bin" });
      const output = outputOf(machine);
      assert.deepEqual(machine.run(100), { kind: "exit", value: 2 });
      assert.equal(output.text, "R");
    });

    it("runs a bare ELF64 in long mode, with a stack", () => {
      const at = 0x100000;
      // push rax; pop rax
      const bytes = new Code(at).raw(0x50, 0x58).print("64").exit(3).build();
      const machine = make(buildElf({ entry: at, segments: [{ physical: at, bytes }] }));
      const output = outputOf(machine);
      assert.deepEqual(machine.run(100), { kind: "exit", value: 3 });
      assert.equal(output.text, "64");
      assert.equal(machine.vcpus[0]?.state.code64, true);
    });

    it("a guest that halts with interrupts off is idle for ever", () => {
      const machine = make(guestImage(new Code().hlt));
      assert.deepEqual(machine.run(1000), { kind: "idle" });
      assert.equal(machine.vcpus[0]?.activity, "halted");
    });

    it("a triple fault ends the machine", () => {
      const image = guestImage(new Code().lidt(0x1ff000).ud2);
      const machine = make(image);
      const events: string[] = [];
      machine.trace.on("triple_fault", ({ name }) => events.push(name));
      assert.deepEqual(machine.run(1000), { kind: "shutdown", vcpu: 0, text: "triple fault" });
      assert.equal(machine.vcpus[0]?.activity, "shut down");
      assert.equal(events.length, 1);
    });

    it("switches off through ACPI, and takes a reset for the end", () => {
      const off = make(
        guestImage(new Code().raw(0x66, 0xba, 4, 6, 0x66, 0xb8, 0, 0x20, 0x66, 0xef)),
      );
      assert.deepEqual(off.run(100), { kind: "poweroff" });
      const reset = make(guestImage(new Code().out8(0x64, 0xfe)));
      assert.deepEqual(reset.run(100), {
        kind: "shutdown",
        vcpu: 0,
        text: "reset through the keyboard controller",
      });
    });

    it("timer interrupts wake a halted vCPU, in virtual time", () => {
      const machine = make(timerGuest());
      const output = outputOf(machine);
      assert.deepEqual(machine.run(100_000), { kind: "exit", value: 5 });
      assert.equal(output.text, "go\n");
      assert.equal(
        new DataView(machine.gpa.read(gpa(COUNTER), 4).slice().buffer).getUint32(0, true),
        10,
      );
    });

    it("ends the same however the run is cut", () => {
      const whole = make(timerGuest());
      whole.run(1_000_000);
      const cut = make(timerGuest());
      for (let i = 0; !cut.ended; i++) cut.run(1 + ((i * 7) % 13));
      assert.deepEqual(cut.save(), whole.save());
    });

    it("goes on from a saved state in a fresh machine to the identical end", () => {
      for (const at of [1, 37, 100, 151]) {
        const one = make(timerGuest());
        one.run(at);
        const saved = one.save();
        const two = make(timerGuest());
        two.restore(saved);
        assert.deepEqual(two.save(), saved, `at ${at}`);
        one.run(1_000_000);
        two.run(1_000_000);
        assert.deepEqual(one.ended, { kind: "exit", value: 5 });
        assert.deepEqual(two.save(), one.save(), `after ${at}`);
      }
    });

    it("a listener stops the run before an exception is delivered, and it goes on with it", () => {
      const handler = new Code(HANDLER).exit(6);
      const machine = make(withHandlers((code) => code.nop(2).ud2, [6], handler));
      machine.trace.on("exception", (event) => machine.requestStop(event, "#UD"));
      const reason = machine.run(1000);
      assert.ok(reason.kind === "event", reason.kind);
      assert.equal(reason.text, "#UD");
      assert.equal(reason.event.fields.vector, 6);
      assert.deepEqual(machine.vcpus[0]?.pending, { vector: 6 });
      const { rip } = machine.vcpus[0]?.state ?? { rip: 0n };
      assert.deepEqual([...machine.gva(0).read(rip as Gva, 2)], [0x0f, 0x0b]);
      assert.deepEqual(machine.run(1000), { kind: "exit", value: 6 });
    });

    it("starts another vCPU by INIT and SIPI, and both take turns", () => {
      const AP = 0x8000;
      // In real mode: mov word [0x600], 1; then hlt.
      const ap = Uint8Array.of(0xc7, 0x06, 0x00, 0x06, 0x01, 0x00, 0xf4);
      const code = new Code().store(0xfee000f0, 0x1ff).store(0xfee00300, 0xc4500);
      code.store(0xfee00300, 0xc4600 | (AP >> 12));
      const wait = code.here;
      code.loopWhileBelow(0x600, 1, wait).exit(9);
      const machine = machineWith(guestImage(code, { at: AP, bytes: ap }), {
        vcpus: 2,
        quantum: 50,
        mmu,
      });
      assert.equal(machine.vcpus[1]?.activity, "waiting for SIPI");
      assert.deepEqual(machine.run(10_000), { kind: "exit", value: 9 });
      assert.equal(machine.vcpus[1]?.activity, "halted");
      assert.ok((machine.vcpus[1]?.retired ?? 0) >= 2);
    });

    it("input reaches the guest through the serial port", () => {
      // Waits for LSR bit 0, then prints what came.
      const code = new Code();
      const wait = code.here;
      code.raw(0xba, 0xfd, 3, 0, 0, 0xec, 0xa8, 1).raw(0x74, (wait - code.here - 2) & 0xff);
      code.raw(0xba, 0xf8, 3, 0, 0, 0xec, 0xee).exit(1);
      const machine = make(guestImage(code));
      const output = outputOf(machine);
      assert.deepEqual(machine.run(500), { kind: "limit" });
      machine.input(Uint8Array.of(0x78));
      assert.deepEqual(machine.run(500), { kind: "exit", value: 1 });
      assert.equal(output.text, "x");
    });

    it("a debugger reads and writes memory in each space without the guest noticing", () => {
      const machine = make(guestImage(new Code().nop(10).exit(0)));
      machine.run(5);
      const before = machine.tick;
      assert.deepEqual([...machine.gpa.read(gpa(CODE_AT), 2)], [0x90, 0x90]);
      assert.equal(machine.gpa.write(gpa(CODE_AT + 6), Uint8Array.of(0x0f, 0x0b)), 2);
      assert.deepEqual([...machine.gva(0).read(gva(BigInt(CODE_AT + 6)), 2)], [0x0f, 0x0b]);
      assert.equal(machine.gpa.read(gpa(0x400000), 1).length, 0);
      assert.equal(machine.gpa.nextMapped(gpa(0x400000)), undefined);
      assert.equal(machine.tick, before);
      // The instruction that was written over is the one that now runs.
      const vectors: unknown[] = [];
      machine.trace.on("exception", ({ fields }) => vectors.push(fields.vector));
      machine.run(100);
      assert.equal(vectors[0], 6);
    });
  });

describe("machine", () => {
  it("counts the same instructions in every mode", () => {
    const ticks = (["none", "shadow", "ept", "npt"] as const).map((mmu) => {
      const machine = machineWith(timerGuest(), { mmu });
      machine.run(1_000_000);
      return machine.tick;
    });
    assert.deepEqual(ticks, [ticks[0], ticks[0], ticks[0], ticks[0]]);
  });

  it("a debugger's write to a guest table reaches the shadow pages of it", () => {
    const tour = new Uint8Array(readFileSync("media/guests/paging-tour/paging-tour.elf"));
    const machine = machineWith(tour, { mmu: "shadow", memory: 64 * 2 ** 20 });
    machine.run(100_000);
    const { vm } = machine;
    const table = [...(vm?.activePages() ?? [])].find((page) => page.level === 1 && page.hasGptes);
    assert.ok(vm && table);
    const at = gpaOf(table.gfn);
    const entries = machine.gpa.read(at, 4096);
    assert.equal(machine.gpa.write(at, new Uint8Array(4096)), 4096);
    assert.deepEqual(vm.check(), []);
    assert.equal(machine.gpa.write(at, entries), 4096);
    assert.deepEqual(machine.run(1_000_000), { kind: "poweroff" });
  });

  it("refuses options that cannot be, in a sentence", () => {
    const image = guestImage(new Code().hlt);
    assert.throws(() => machineWith(image, { memory: 5000 }), /not a multiple of 0x1000/);
    assert.throws(() => machineWith(image, { memory: 2 ** 33 }), /outside 1M … 3G/);
    assert.throws(() => machineWith(image, { vcpus: 99 }), /outside 1 … 64/);
    const slots = [{ gpa: 0, size: 0x1000, flags: [] }];
    assert.throws(
      () => machineWith(image, { memslots: slots, mmu: "shadow" }),
      /needs memory at gpa 0x100000: give a memslot there/,
    );
  });
});
