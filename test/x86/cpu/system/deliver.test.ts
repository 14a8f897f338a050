import assert from "node:assert/strict";
import { CR0, FLAG, GPR, S, SEG } from "../../../../src/x86/cpu/layout";
import { AT, Bench, type Mode, SEL } from "./bench";

describe("event delivery", () => {
  describe("in long mode", () => {
    it("pushes SS, RSP, RFLAGS, CS, RIP and the error code on an aligned stack", () => {
      const bench = new Bench("long");
      bench.state.setGpr(GPR.rsp, BigInt(AT.stack0 - 3));
      bench.state.rflags = 2n | FLAG.IF | FLAG.ZF;
      assert.equal(bench.deliver({ vector: 13, kind: "fault", error: 0x18 }), undefined);
      assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.stack0 - 0x10 - 48));
      assert.deepEqual(bench.stack(6, 8), [
        0x18n,
        BigInt(AT.code),
        BigInt(SEL.code64),
        2n | FLAG.IF | FLAG.ZF | FLAG.RF,
        BigInt(AT.stack0 - 3),
        BigInt(SEL.data),
      ]);
      assert.equal(bench.state.rip, BigInt(AT.handler));
      assert.equal(bench.selector(SEG.ss), SEL.data);
    });

    it("an interrupt gate masks interrupts, a trap gate does not, both clear TF NT and RF", () => {
      for (const [type, expected] of [
        [0xe, 2n | FLAG.AC],
        [0xf, 2n | FLAG.AC | FLAG.IF],
      ] as const) {
        const bench = new Bench("long");
        bench.setGate(0x20, { type });
        bench.state.rflags = 2n | FLAG.IF | FLAG.TF | FLAG.NT | FLAG.RF | FLAG.AC;
        bench.deliver({ vector: 0x20, kind: "interrupt" });
        assert.equal(bench.state.rflags, expected);
      }
    });

    it("a change of level takes RSP0 and makes SS null with the new level", () => {
      const bench = new Bench("long", { cpl: 3 });
      bench.deliver({ vector: 14, kind: "fault", error: 6, cr2: 0x1234n });
      assert.equal(bench.state.cpl, 0);
      assert.equal(bench.selector(SEG.ss), 0);
      assert.equal(bench.state.segment(SEG.ss).unusable, true);
      assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.inner - 48));
      assert.deepEqual(bench.stack(6, 8).slice(4), [BigInt(AT.stack3), BigInt(SEL.userData)]);
      assert.equal(bench.state.cr2, 0x1234n);
    });

    it("an IST stack is taken even without a change of level, and SS stays", () => {
      const bench = new Bench("long");
      bench.setGate(8, { ist: 1 });
      bench.deliver({ vector: 8, kind: "fault", error: 0 });
      assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.ist1 - 48));
      assert.equal(bench.selector(SEG.ss), SEL.data);
    });

    it("pushes with supervisor rights and reads tables as implicit accesses", () => {
      const bench = new Bench("long", { cpl: 3 });
      bench.deliver({ vector: 3, kind: "software" });
      assert.ok(bench.mem.accesses.every(({ access }) => (access & 4) === 0));
      const gdt = bench.mem.accesses.find(({ va }) => va === BigInt(AT.gdt + SEL.code64));
      assert.equal(gdt?.access, 0x100);
    });
  });

  describe("in protected mode", () => {
    it("pushes EFLAGS, CS and EIP through a 32-bit gate", () => {
      const bench = new Bench("protected");
      bench.deliver({ vector: 6, kind: "fault" });
      assert.deepEqual(bench.stack(3, 4), [BigInt(AT.code), BigInt(SEL.code32), 2n | FLAG.RF]);
    });

    it("pushes words through a 16-bit gate", () => {
      const bench = new Bench("protected");
      bench.setGate(13, { type: 6, offset: 0x4321 });
      bench.state.rflags = 2n | FLAG.IF;
      bench.deliver({ vector: 13, kind: "fault", error: 0x55 });
      assert.deepEqual(bench.stack(4, 2), [0x55n, BigInt(AT.code & 0xffff), 0x18n, 0x202n]);
      assert.equal(bench.state.rip, 0x4321n);
      assert.equal(bench.state.rflags, 2n);
    });

    it("a change of level takes SS0:ESP0 of the TSS", () => {
      const bench = new Bench("protected", { cpl: 3 });
      bench.deliver({ vector: 0x10, kind: "interrupt" });
      assert.equal(bench.selector(SEG.ss), SEL.data);
      assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.inner - 20));
      assert.deepEqual(bench.stack(5, 4).slice(3), [BigInt(AT.stack3), BigInt(SEL.userData)]);
    });

    it("conforming handlers keep the level", () => {
      const bench = new Bench("protected", { cpl: 3 });
      bench.setGate(5, { selector: SEL.conforming });
      bench.deliver({ vector: 5, kind: "fault" });
      assert.equal(bench.state.cpl, 3);
      assert.equal(bench.selector(SEG.cs), SEL.conforming | 3);
    });

    it("leaves virtual-8086 mode with its segments on the stack and null in the handler", () => {
      const bench = new Bench("v8086");
      for (const [index, selector] of [
        [SEG.gs, 0x111],
        [SEG.fs, 0x222],
        [SEG.ds, 0x333],
        [SEG.es, 0x444],
      ] as const) {
        bench.state.setSegment(index, { ...bench.state.segment(index), selector });
      }
      bench.deliver({ vector: 0x10, kind: "interrupt" });
      assert.deepEqual(bench.stack(9, 4), [
        BigInt(AT.code),
        0n,
        2n | FLAG.VM,
        BigInt(AT.stack0),
        0n,
        0x444n,
        0x333n,
        0x222n,
        0x111n,
      ]);
      assert.equal(bench.state.rflags & FLAG.VM, 0n);
      assert.ok(bench.state.segment(SEG.ds).unusable);
      assert.equal(bench.state.cpl, 0);
    });
  });

  it("real mode pushes three words, no error code, and clears IF TF RF and AC", () => {
    const bench = new Bench("real");
    bench.mem.poke(4 * 13, 4, 0x12345678n);
    bench.state.rflags = 2n | FLAG.IF | FLAG.TF | FLAG.AC;
    bench.deliver({ vector: 13, kind: "fault", error: 0, returnRip: 0x100n });
    assert.deepEqual(bench.stack(3, 2), [0x100n, 0n, 0x302n]);
    assert.equal(bench.selector(SEG.cs), 0x1234);
    assert.equal(bench.state.segment(SEG.cs).base, 0x12340n);
    assert.equal(bench.state.rip, 0x5678n);
    assert.equal(bench.state.rflags, 2n);
  });

  describe("errors of the gate", () => {
    /** What the handler of the fault that came instead found as its error code. */
    const errorSeen = (bench: Bench): [number, bigint] => {
      const long = bench.state.longMode;
      const [error] = bench.stack(1, long ? 8 : 4);
      return [Number(bench.state.rip - BigInt(AT.handler)) / 16, error!];
    };
    const cases: readonly (readonly [string, (bench: Bench) => void, [number, bigint]])[] = [
      [
        "not present: #NP with the gate's index",
        (b) => b.setGate(0x40, { present: false }),
        [11, 0x203n],
      ],
      [
        "of a wrong type: #GP with the gate's index",
        (b) => b.setGate(0x40, { type: 2 }),
        [13, 0x203n],
      ],
      ["null selector: #GP with EXT only", (b) => b.setGate(0x40, { selector: 0 }), [13, 1n]],
      ["selector beyond the GDT: #GP", (b) => b.setGate(0x40, { selector: 0x1000 }), [13, 0x1001n]],
      ["data segment: #GP", (b) => b.setGate(0x40, { selector: SEL.data }), [13, 0x11n]],
      ["absent code: #NP", (b) => b.setGate(0x40, { selector: SEL.absentCode }), [11, 0x79n]],
      [
        "beyond the IDT: #GP with the gate's index",
        (b) => b.state.setU32(S.idtrLimit, 0x3ff),
        [13, 0x203n],
      ],
    ];
    for (const [title, arrange, expected] of cases) {
      it(`${title}, EXT set for an interrupt`, () => {
        const bench = new Bench("long");
        for (let vector = 0; vector < 0x20; vector++)
          bench.setGate(vector, { offset: AT.handler + 16 * vector });
        bench.setGate(0x40);
        arrange(bench);
        assert.equal(bench.deliver({ vector: 0x40, kind: "interrupt" }), undefined);
        assert.deepEqual(errorSeen(bench), expected);
      });
    }

    it("INT n on a gate more privileged than the program: #GP, EXT clear, the instruction's RIP", () => {
      const bench = new Bench("long", { cpl: 3 });
      bench.setGate(0x80, { dpl: 0 });
      assert.deepEqual(bench.execute("cd 80"), {
        kind: "fault",
        fault: { vector: 13, error: 0x402 },
      });
      bench.setGate(0x80, { dpl: 3 });
      assert.deepEqual(bench.execute("cd 80"), { kind: "jumped", trapFlagAfter: true });
      assert.equal(bench.stack(1, 8)[0], BigInt(AT.code + 2));
    });

    it("hardware events ignore the gate's DPL", () => {
      const bench = new Bench("long", { cpl: 3 });
      assert.equal(bench.deliver({ vector: 3, kind: "interrupt" }), undefined);
      assert.equal(bench.state.cpl, 0);
    });

    it("a handler that is not 64-bit code in long mode: #GP with its selector", () => {
      const bench = new Bench("long");
      bench.setGate(13, { offset: AT.handler + 16 * 13 });
      bench.setGate(0x40, { selector: SEL.code32 });
      bench.deliver({ vector: 0x40, kind: "interrupt" });
      assert.deepEqual(errorSeen(bench), [13, 0x19n]);
    });

    it("a TSS too short for the stack pointer: #TS with the TSS's selector", () => {
      const bench = new Bench("long", { cpl: 3 });
      bench.setGate(10, { offset: AT.handler + 160, ist: 1 });
      bench.setGate(0x40);
      const tr = bench.state.segment(SEG.tr);
      bench.setDescriptor(SEL.code64, bench.mem.peek(AT.gdt + SEL.code64, 8));
      bench.state.setSegment(SEG.tr, { ...tr, hi: 0x0a });
      // Neither #TS nor #DF finds a stack: the third fault ends it.
      assert.deepEqual(bench.deliver({ vector: 0x40, kind: "interrupt" }), { kind: "shutdown" });
    });
  });

  describe("faults while delivering", () => {
    const second = (mode: Mode, cpl = 0): Bench => {
      const bench = new Bench(mode, { cpl });
      for (let vector = 0; vector < 0x20; vector++)
        bench.setGate(vector, { offset: AT.handler + 16 * vector });
      return bench;
    };
    const vectorTaken = (bench: Bench): number => Number(bench.state.rip - BigInt(AT.handler)) / 16;

    it("#PF while pushing for #GP is delivered as a #PF after all", () => {
      const bench = second("long");
      bench.state.setGpr(GPR.rsp, 0x200000n);
      bench.setGate(14, { offset: AT.handler + 16 * 14, ist: 1 });
      bench.deliver({ vector: 13, kind: "fault", error: 0 });
      assert.equal(vectorTaken(bench), 14);
      assert.equal(bench.state.cr2, 0x1ffff8n);
    });

    it("#PF while delivering #PF is a double fault with error 0", () => {
      const bench = second("long");
      bench.state.setGpr(GPR.rsp, 0x200000n);
      bench.setGate(8, { offset: AT.handler + 16 * 8, ist: 1 });
      bench.deliver({ vector: 14, kind: "fault", error: 2, cr2: 0x5000n });
      assert.equal(vectorTaken(bench), 8);
      assert.equal(bench.stack(1, 8)[0], 0n);
      assert.equal(bench.state.cr2, 0x1ffff8n);
    });

    it("#NP while delivering #GP is a double fault", () => {
      const bench = second("long");
      bench.setGate(13, { present: false });
      bench.deliver({ vector: 13, kind: "fault", error: 0 });
      assert.equal(vectorTaken(bench), 8);
    });

    it("#NP while delivering an interrupt or #DB is just an #NP", () => {
      for (const event of [
        { vector: 0x40, kind: "interrupt" },
        { vector: 1, kind: "trap" },
      ] as const) {
        const bench = second("long");
        bench.setGate(event.vector, { present: false });
        bench.deliver(event);
        assert.equal(vectorTaken(bench), 11);
      }
    });

    it("a fault while delivering #DF shuts the processor down", () => {
      const bench = second("long");
      bench.setGate(8, { present: false });
      assert.deepEqual(bench.deliver({ vector: 8, kind: "fault", error: 0 }), { kind: "shutdown" });
      assert.equal(bench.state.u32(S.activity), 3);
    });

    it("an empty IDT in real mode shuts the processor down", () => {
      const bench = new Bench("real");
      bench.state.setU32(S.idtrLimit, 0);
      assert.deepEqual(bench.deliver({ vector: 13, kind: "fault" }), { kind: "shutdown" });
    });

    it("each such fault is announced, and a stop leaves everything as it was", () => {
      const bench = second("long");
      bench.setGate(0x40, { present: false });
      const seen: number[] = [];
      const result = bench.deliver({ vector: 0x40, kind: "interrupt" }, ({ vector }) => {
        seen.push(vector);
        return true;
      });
      assert.deepEqual(result, { kind: "stop" });
      assert.deepEqual(seen, [11]);
      assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.stack0));
    });
  });

  it("#DB reports its cause in DR6, replaces old hits, and drops general detect", () => {
    const bench = new Bench("long");
    bench.state.setU64(S.dr + 48, 0xffff0ff3n);
    bench.state.setU64(S.dr + 56, 0x2400n);
    bench.deliver({ vector: 1, kind: "trap", dr6: 0x4004 });
    assert.equal(bench.state.u64(S.dr + 48), 0xffff4ff4n);
    assert.equal(bench.state.u64(S.dr + 56), 0x400n);
  });

  it("a held-back single-step trap is lost with any event, a data breakpoint is not", () => {
    const bench = new Bench("long");
    bench.state.setU32(S.pendingDb, 0x4001);
    bench.deliver({ vector: 6, kind: "fault" });
    assert.equal(bench.state.u32(S.pendingDb), 1);
  });

  it("INT1 reports data breakpoints held back before it, INT 1 leaves them waiting", () => {
    const bench = new Bench("long");
    bench.state.setU32(S.pendingDb, 2);
    bench.execute("cd 01");
    assert.equal(bench.state.u32(S.pendingDb), 2);
    bench.execute("f1");
    assert.equal(bench.state.u32(S.pendingDb), 0);
    assert.equal(bench.state.u64(S.dr + 48), 0xffff0ff2n);
  });

  it("RF is pushed set for faults only, and as asked for breakpoints and REP", () => {
    const cases = [
      [{ vector: 6, kind: "fault" }, true],
      [{ vector: 8, kind: "fault", error: 0 }, false],
      [{ vector: 1, kind: "trap" }, false],
      [{ vector: 1, kind: "fault", resume: false }, false],
      [{ vector: 0x20, kind: "interrupt" }, false],
      [{ vector: 0x20, kind: "interrupt", resume: true }, true],
    ] as const;
    for (const [event, resumes] of cases) {
      const bench = new Bench("long");
      bench.setGate(0x20);
      bench.deliver(event);
      const flags = bench.stack(5, 8)["error" in event ? 3 : 2]!;
      assert.equal((flags & FLAG.RF) !== 0n, resumes, JSON.stringify(event));
    }
  });

  it("an NMI blocks further NMIs, and events end a halt and an interrupt shadow", () => {
    const bench = new Bench("long");
    bench.state.setU32(S.activity, 1);
    bench.state.setU32(S.shadow, 1);
    bench.deliver({ vector: 2, kind: "nmi" });
    assert.equal(bench.state.u32(S.nmiBlocked), 1);
    assert.equal(bench.state.u32(S.activity), 0);
    assert.equal(bench.state.u32(S.shadow), 0);
  });

  it("the accessed bit of a handler's code segment is set in the GDT", () => {
    const bench = new Bench("long");
    const at = AT.gdt + SEL.code64 + 5;
    bench.mem.poke(at, 1, 0x9an);
    bench.deliver({ vector: 6, kind: "fault" });
    assert.equal(bench.mem.peek(at, 1), 0x9bn);
    assert.ok(bench.state.cr0 & CR0.PE);
  });
});
