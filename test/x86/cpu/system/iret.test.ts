import assert from "node:assert/strict";
import { EFER, FLAG, GPR, S, SEG } from "../../../../src/x86/cpu/layout";
import { AT, Bench, fault, gp0, SEL } from "./bench";

const IRET = "cf";
const IRETQ = "48 cf";

describe("IRET", () => {
  describe("in 64-bit mode", () => {
    const frame = (bench: Bench, cs: number, flags: bigint, ss: number, rip = 0x401000n): void =>
      bench.push(8, ss, AT.stack3, flags, cs, rip);

    it("to the same level takes RSP and SS from the frame too", () => {
      const bench = new Bench("long");
      frame(bench, SEL.code64, 2n | FLAG.IF | FLAG.ZF, SEL.data);
      assert.deepEqual(bench.execute(IRETQ), { kind: "jumped" });
      assert.equal(bench.state.rip, 0x401000n);
      assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.stack3));
      assert.equal(bench.state.rflags, 2n | FLAG.IF | FLAG.ZF);
    });

    it("to level 3 drops data segments of level 0", () => {
      const bench = new Bench("long");
      bench.load(SEG.es, SEL.userData);
      frame(bench, SEL.userCode64, 2n, SEL.userData);
      assert.deepEqual(bench.execute(IRETQ), { kind: "jumped" });
      assert.equal(bench.state.cpl, 3);
      assert.equal(bench.selector(SEG.ds), 0);
      assert.ok(bench.state.segment(SEG.ds).unusable);
      assert.equal(bench.selector(SEG.es), SEL.userData);
    });

    it("the bases of dropped segments stay, which GS relative code relies on", () => {
      const bench = new Bench("long");
      bench.state.setSegment(SEG.gs, { ...bench.state.segment(SEG.gs), base: 0x123456n });
      frame(bench, SEL.userCode64, 2n, SEL.userData);
      bench.execute(IRETQ);
      const { selector, base } = bench.state.segment(SEG.gs);
      assert.deepEqual([selector, base], [0, 0x123456n]);
    });

    it("to compatibility mode makes 32-bit code", () => {
      const bench = new Bench("long");
      frame(bench, SEL.userCode32, 2n, SEL.userData);
      assert.deepEqual(bench.execute(IRETQ), { kind: "jumped" });
      assert.equal(bench.state.code64, false);
      assert.equal(bench.state.longMode, true);
    });

    it("accepts a null SS for 64-bit code below level 3, with the same RPL", () => {
      const bench = new Bench("long");
      frame(bench, SEL.code64, 2n, 0);
      assert.deepEqual(bench.execute(IRETQ), { kind: "jumped" });
      assert.equal(bench.state.cpl, 0);
      const user = new Bench("long");
      frame(user, SEL.userCode64, 2n, 3);
      assert.deepEqual(user.execute(IRETQ), gp0);
      const compatible = new Bench("long");
      frame(compatible, SEL.code32, 2n, 0);
      assert.deepEqual(compatible.execute(IRETQ), gp0);
    });

    it("NT is #GP(0), and nothing changed", () => {
      const bench = new Bench("long");
      frame(bench, SEL.code64, 2n, SEL.data);
      bench.state.rflags = 2n | FLAG.NT;
      const { rip } = bench.state;
      assert.deepEqual(bench.execute(IRETQ), gp0);
      assert.equal(bench.state.rip, rip);
    });

    it("a non-canonical RIP is #GP(0), a non-canonical stack #SS(0)", () => {
      const bench = new Bench("long");
      frame(bench, SEL.userCode64, 2n, SEL.userData, 1n << 47n);
      assert.deepEqual(bench.execute(IRETQ), gp0);
      bench.state.setGpr(GPR.rsp, 1n << 47n);
      assert.deepEqual(bench.execute(IRETQ), fault(12, 0));
    });

    it("a page fault on the frame is the instruction's, and nothing changed", () => {
      const bench = new Bench("long");
      bench.state.setGpr(GPR.rsp, 0x200000n);
      const result = bench.execute(IRETQ);
      assert.deepEqual(result, { kind: "fault", fault: { vector: 14, error: 0, cr2: 0x200000n } });
      assert.equal(bench.state.gpr(GPR.rsp), 0x200000n);
    });

    it("ends the blocking of NMIs", () => {
      const bench = new Bench("long");
      bench.state.setU32(S.nmiBlocked, 1);
      frame(bench, SEL.code64, 2n, SEL.data);
      bench.execute(IRETQ);
      assert.equal(bench.state.u32(S.nmiBlocked), 0);
    });

    it("with 32-bit operands takes a frame of doublewords", () => {
      const bench = new Bench("long");
      bench.push(4, SEL.data, AT.stack3, 0x202, SEL.code64, 0x401000);
      assert.deepEqual(bench.execute(IRET), { kind: "jumped" });
      assert.equal(bench.state.rip, 0x401000n);
      assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.stack3));
    });
  });

  describe("checks of CS and SS", () => {
    const cases: readonly (readonly [string, number, number, unknown])[] = [
      ["a null CS is #GP(0)", 0, SEL.userData, gp0],
      ["a CS beyond the GDT is #GP(selector)", 0x1003, SEL.userData, fault(13, 0x1000)],
      ["a data segment as CS is #GP(selector)", SEL.userData, SEL.userData, fault(13, 0x28)],
      [
        "a CS whose RPL is not its DPL is #GP(selector)",
        SEL.code64 | 3,
        SEL.userData,
        fault(13, 8),
      ],
      ["an absent CS is #NP(selector)", SEL.absentCode, SEL.data, fault(11, SEL.absentCode)],
      ["a CS with L and D is #GP(selector)", SEL.bothLD, SEL.data, fault(13, SEL.bothLD)],
      ["an SS whose RPL differs is #GP(selector)", SEL.userCode64, SEL.data, fault(13, SEL.data)],
      ["a read-only SS is #GP(selector)", SEL.code64, SEL.readOnly, fault(13, SEL.readOnly)],
      ["an absent SS is #SS(selector)", SEL.code64, SEL.absentData, fault(12, SEL.absentData)],
    ];
    for (const [title, cs, ss, expected] of cases) {
      it(title, () => {
        const bench = new Bench("long");
        bench.push(8, ss, AT.stack3, 2, cs, 0x401000);
        assert.deepEqual(bench.execute(IRETQ), expected);
        assert.equal(bench.state.cpl, 0);
      });
    }

    it("returning to an inner level is #GP(selector)", () => {
      const bench = new Bench("long", { cpl: 3 });
      bench.push(8, SEL.data, AT.stack0, 2, SEL.code64, 0x401000);
      assert.deepEqual(bench.execute(IRETQ), fault(13, SEL.code64));
    });
  });

  describe("flags", () => {
    const all = ~0n & 0x3f7fd7n;
    const flagsAfter = (bench: Bench, size: 4 | 8, image: bigint): bigint => {
      const user = bench.state.cpl === 3;
      const ss = user ? SEL.userData : SEL.data;
      const cs = user ? SEL.userCode64 : SEL.code64;
      bench.push(size, ss, AT.stack3, image, cs, 0x401000);
      assert.deepEqual(bench.execute(size === 8 ? IRETQ : IRET), { kind: "jumped" });
      return bench.state.rflags;
    };

    it("level 0 may change all but VM", () => {
      assert.equal(flagsAfter(new Bench("long"), 8, all), all & ~FLAG.VM);
    });

    it("level 3 with IOPL 0 changes neither IF, IOPL, VIF nor VIP", () => {
      const kept = FLAG.IF | FLAG.IOPL | FLAG.VIF | FLAG.VIP | FLAG.VM;
      assert.equal(flagsAfter(new Bench("long", { cpl: 3 }), 8, all), all & ~kept);
    });

    it("level 3 with IOPL 3 changes IF, and IOPL stays", () => {
      const bench = new Bench("long", { cpl: 3 });
      bench.iopl = 3;
      assert.equal(flagsAfter(bench, 8, FLAG.IF | 2n), FLAG.IF | FLAG.IOPL | 2n);
    });
  });

  describe("in protected mode", () => {
    it("to level 3 takes ESP and SS from the frame", () => {
      const bench = new Bench("protected");
      bench.push(4, SEL.userData, AT.stack3, 0x202, SEL.userCode32, 0x401000);
      assert.deepEqual(bench.execute(IRET), { kind: "jumped" });
      assert.equal(bench.state.cpl, 3);
      assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.stack3));
    });

    it("to the same level leaves SS and ESP", () => {
      const bench = new Bench("protected");
      bench.push(4, 0x202, SEL.code32, 0x401000);
      bench.execute(IRET);
      assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.stack0));
    });

    it("to a 16-bit stack keeps the upper half of the inner ESP", () => {
      const bench = new Bench("protected");
      bench.setDescriptor(0xd8, 0x0000_f300_0000_ffffn);
      bench.push(4, 0xdb, 0x12345678, 0x202, SEL.userCode32, 0x401000);
      bench.state.setGpr(GPR.rsp, bench.state.gpr(GPR.rsp));
      bench.execute(IRET);
      assert.equal(bench.state.gpr(GPR.rsp), 0x5678n);
    });

    it("an EIP beyond the limit is #GP(0)", () => {
      const bench = new Bench("protected");
      bench.push(4, 0x202, SEL.code16, 0x10000);
      assert.deepEqual(bench.execute(IRET), gp0);
    });

    it("a frame with VM at level 0 enters virtual-8086 mode", () => {
      const bench = new Bench("protected");
      bench.push(4, 0x44, 0x33, 0x22, 0x11, 0x900, 0xfffe, 0x23202, 0x1000, 0x100);
      assert.deepEqual(bench.execute(IRET), { kind: "jumped" });
      const { state } = bench;
      assert.equal(state.cpl, 3);
      assert.deepEqual(
        [SEG.cs, SEG.ss, SEG.es, SEG.ds, SEG.fs, SEG.gs].map((each) => bench.selector(each)),
        [0x1000, 0x900, 0x11, 0x22, 0x33, 0x44],
      );
      assert.equal(state.segment(SEG.cs).base, 0x10000n);
      assert.equal(state.segment(SEG.cs).hi, 0xffff);
      assert.equal(state.gpr(GPR.rsp), 0xfffen);
      assert.equal(state.rflags, 0x23202n);
    });
  });

  it("in real mode loads a paragraph and the flags a real-mode program may set", () => {
    const bench = new Bench("real");
    bench.state.setGpr(GPR.rsp, 0x7000n);
    bench.push(2, 0x7202, 0x2000, 0x30);
    assert.deepEqual(bench.execute(IRET), { kind: "jumped" });
    assert.equal(bench.state.segment(SEG.cs).base, 0x20000n);
    assert.equal(bench.state.rip, 0x30n);
    assert.equal(bench.state.rflags, 0x7202n);
  });

  it("in virtual-8086 mode needs IOPL 3, and does not change it", () => {
    const bench = new Bench("v8086");
    bench.push(2, 0x0202, 0x2000, 0x30);
    assert.deepEqual(bench.execute(IRET), gp0);
    bench.iopl = 3;
    assert.deepEqual(bench.execute(IRET), { kind: "jumped" });
    assert.equal(bench.state.rflags, 0x23202n);
    assert.equal(bench.selector(SEG.cs), 0x2000);
    assert.ok(!(bench.state.efer & EFER.LMA));
  });
});
