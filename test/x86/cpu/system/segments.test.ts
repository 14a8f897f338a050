import assert from "node:assert/strict";
import { GPR, S, SEG } from "../../../../src/x86/cpu/layout";
import { AT, Bench, descriptor, fault, gp0, SEL, ud } from "./bench";

/** MOV Sreg, AX */
const MOV = {
  es: "8e c0",
  ss: "8e d0",
  ds: "8e d8",
  fs: "8e e0",
  gs: "8e e8",
  cs: "8e c8",
} as const;

function move(bench: Bench, register: keyof typeof MOV, selector: number): unknown {
  bench.state.setGpr(GPR.rax, BigInt(selector));
  return bench.execute(MOV[register]);
}

describe("segment registers", () => {
  it("MOV to CS is #UD", () => {
    assert.deepEqual(move(new Bench("long"), "cs", SEL.code64), ud);
  });

  describe("a data segment", () => {
    const cases: readonly (readonly [string, number, number, unknown])[] = [
      ["writable data loads", 0, SEL.data, undefined],
      ["readable code loads", 0, SEL.code32, undefined],
      ["null loads", 0, 3, undefined],
      ["execute-only code is #GP(selector)", 0, SEL.executeOnly, fault(13, SEL.executeOnly)],
      ["a system descriptor is #GP(selector)", 0, SEL.ldt, fault(13, SEL.ldt)],
      ["absent data is #NP(selector)", 0, SEL.absentData, fault(11, SEL.absentData)],
      ["inner data is #GP(selector)", 3, SEL.data, fault(13, SEL.data)],
      ["an RPL beyond the DPL is #GP(selector)", 0, SEL.data | 3, fault(13, SEL.data)],
      ["inner conforming code loads", 3, SEL.conforming, undefined],
      ["beyond the table is #GP(selector)", 0, 0x2000, fault(13, 0x2000)],
      ["an LDT that is not there is #GP(selector with TI)", 0, 0xc, fault(13, 0xc)],
    ];
    for (const [title, cpl, selector, expected] of cases) {
      it(title, () => {
        const bench = new Bench("protected", { cpl });
        if (selector & 4)
          bench.state.setSegment(SEG.ldtr, { ...bench.state.segment(SEG.ldtr), unusable: true });
        const before = bench.selector(SEG.ds);
        assert.deepEqual(move(bench, "ds", selector), expected);
        assert.equal(bench.selector(SEG.ds), expected === undefined ? selector : before);
      });
    }

    it("comes from the LDT when TI is set", () => {
      const bench = new Bench("protected");
      bench.load(SEG.ldtr, SEL.ldt);
      bench.setDescriptor(0x0c, descriptor(0x12345678, 0x1ff, 0x92, 0));
      assert.equal(move(bench, "fs", 0x0c), undefined);
      const { base, lo, hi, attr } = bench.state.segment(SEG.fs);
      assert.deepEqual([base, lo, hi, attr], [0x12345678n, 0, 0x1ff, 0x93]);
      assert.equal(bench.mem.peek(AT.ldt + 0x08 + 5, 1), 0x93n, "accessed bit");
    });

    it("that grows down is valid above its limit", () => {
      const bench = new Bench("protected");
      move(bench, "es", SEL.expandDown);
      const { lo, hi } = bench.state.segment(SEG.es);
      assert.deepEqual([lo, hi], [0x1000, 0xffffffff]);
    });

    it("null is unusable with base 0", () => {
      const bench = new Bench("long");
      move(bench, "fs", 0);
      const { base, unusable, lo, hi } = bench.state.segment(SEG.fs);
      assert.deepEqual([base, unusable, lo > hi], [0n, true, true]);
    });
  });

  describe("SS", () => {
    const cases: readonly (readonly [string, "protected" | "long", number, number, unknown])[] = [
      ["writable data of the same level loads", "protected", 0, SEL.data, undefined],
      ["null is #GP(0) in protected mode", "protected", 0, 0, gp0],
      ["null loads in 64-bit mode at level 0", "long", 0, 0, undefined],
      ["null with another RPL is #GP(0)", "long", 0, 3, gp0],
      ["null is #GP(0) at level 3", "long", 3, 3, gp0],
      ["read-only data is #GP(selector)", "protected", 0, SEL.readOnly, fault(13, SEL.readOnly)],
      ["another RPL is #GP(selector)", "protected", 0, SEL.data | 3, fault(13, SEL.data)],
      [
        "another DPL is #GP(selector)",
        "protected",
        0,
        SEL.userData & ~3,
        fault(13, SEL.userData & ~3),
      ],
      ["absent is #SS(selector)", "protected", 0, SEL.absentData, fault(12, SEL.absentData)],
    ];
    for (const [title, mode, cpl, selector, expected] of cases) {
      it(title, () => {
        const bench = new Bench(mode, { cpl });
        assert.deepEqual(move(bench, "ss", selector), expected);
        assert.equal(bench.state.cpl, cpl);
        assert.equal(bench.state.u32(S.shadow), expected === undefined ? 2 : 0);
      });
    }

    it("POP SS moves the stack pointer of the old stack, and LSS casts no shadow", () => {
      const bench = new Bench("protected");
      bench.push(4, SEL.data);
      assert.equal(bench.execute("17"), undefined);
      assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.stack0));
      assert.equal(bench.state.u32(S.shadow), 2);
      bench.state.setU32(S.shadow, 0);
      bench.mem.poke(0x9000, 4, 0x7000n);
      bench.mem.poke(0x9004, 2, BigInt(SEL.data16));
      assert.equal(bench.execute("0f b2 25 00 90 00 00"), undefined);
      assert.equal(bench.state.gpr(GPR.rsp), 0x7000n);
      assert.equal(bench.selector(SEG.ss), SEL.data16);
      assert.equal(bench.state.u32(S.shadow), 0);
    });
  });

  it("real mode changes selector and base and keeps the limit, also a big one", () => {
    const bench = new Bench("real");
    bench.state.setSegment(SEG.ds, { ...bench.state.segment(SEG.ds), hi: 0xffffffff });
    assert.equal(move(bench, "ds", 0x1234), undefined);
    const { base, hi } = bench.state.segment(SEG.ds);
    assert.deepEqual([base, hi], [0x12340n, 0xffffffff]);
  });

  it("virtual-8086 mode gives 64 KiB at level 3", () => {
    const bench = new Bench("v8086");
    assert.equal(move(bench, "ds", 0xf000), undefined);
    const { base, hi, attr } = bench.state.segment(SEG.ds);
    assert.deepEqual([base, hi, attr], [0xf0000n, 0xffff, 0xf3]);
  });

  it("a far pointer load that faults leaves both registers alone", () => {
    const bench = new Bench("protected");
    bench.mem.poke(0x9000, 4, 0x11223344n);
    bench.mem.poke(0x9004, 2, BigInt(SEL.absentData));
    assert.deepEqual(bench.execute("0f b4 05 00 90 00 00"), fault(11, SEL.absentData));
    assert.equal(bench.state.gpr(GPR.rax), 0n);
  });
});
