import assert from "node:assert/strict";
import { GPR, SEG } from "../../../../src/x86/cpu/layout";
import { AT, Bench, descriptor, fault, gp0, SEL } from "./bench";

const hex = (value: number, bytes: number): string =>
  Array.from({ length: bytes }, (_, n) =>
    ((value >>> (8 * n)) & 0xff).toString(16).padStart(2, "0"),
  ).join(" ");
const pointer = (selector: number, offset = 0x401000): string =>
  `${hex(offset, 4)} ${hex(selector, 2)}`;
const jump = (bench: Bench, selector: number, offset?: number): unknown =>
  bench.execute(`ea ${pointer(selector, offset)}`);
const call = (bench: Bench, selector: number, offset?: number): unknown =>
  bench.execute(`9a ${pointer(selector, offset)}`);
/** Through memory at 9000h, for 64-bit code. */
const callIndirect = (bench: Bench, selector: number, offset = 0x401000): unknown => {
  bench.mem.poke(0x9000, 4, BigInt(offset));
  bench.mem.poke(0x9004, 2, BigInt(selector));
  return bench.execute("ff 1c 25 00 90 00 00");
};
const jumped = { kind: "jumped" };

function setCallGate(
  bench: Bench,
  selector: number,
  {
    code = SEL.code32 as number,
    offset = 0x401000,
    type = 0xc,
    dpl = 3,
    count = 0,
    present = true,
  } = {},
): void {
  const access = (present ? 0x80 : 0) | (dpl << 5) | type;
  bench.setDescriptor(
    selector,
    BigInt(offset & 0xffff) |
      (BigInt(code) << 16n) |
      (BigInt(count) << 32n) |
      (BigInt(access) << 40n) |
      (BigInt(offset >>> 16) << 48n),
  );
  if (bench.state.longMode) bench.setDescriptor(selector + 8, 0n);
}

describe("far transfers", () => {
  describe("JMP to a code segment", () => {
    const cases: readonly (readonly [string, number, number, unknown])[] = [
      ["of the same level is taken", 0, SEL.code32, jumped],
      ["conforming at an inner level is taken", 3, SEL.conforming, jumped],
      ["at an inner level is #GP(selector)", 3, SEL.code32, fault(13, SEL.code32)],
      ["at an outer level is #GP(selector)", 0, SEL.userCode32, fault(13, 0x20)],
      ["with a null selector is #GP(0)", 0, 0, gp0],
      ["that is data is #GP(selector)", 0, SEL.data, fault(13, SEL.data)],
      ["that is absent is #NP(selector)", 0, SEL.absentCode, fault(11, SEL.absentCode)],
      ["with the target beyond its limit is #GP(0)", 0, SEL.code16, gp0],
    ];
    for (const [title, cpl, selector, expected] of cases) {
      it(title, () => {
        const bench = new Bench("protected", { cpl });
        const before = bench.selector(SEG.cs);
        assert.deepEqual(jump(bench, selector), expected);
        const taken = expected === jumped;
        assert.equal(bench.selector(SEG.cs), taken ? (selector & ~3) | cpl : before);
        if (taken) assert.equal(bench.state.rip, 0x401000n);
      });
    }

    it("with the L bit enters 64-bit code from compatibility mode", () => {
      const bench = new Bench("compatibility");
      assert.deepEqual(jump(bench, SEL.code64), jumped);
      assert.ok(bench.state.code64);
    });

    it("with both L and D is #GP(selector) in long mode only", () => {
      assert.deepEqual(jump(new Bench("compatibility"), SEL.bothLD), fault(13, SEL.bothLD));
      assert.deepEqual(jump(new Bench("protected"), SEL.bothLD), jumped);
    });
  });

  it("CALL pushes CS and the address after the instruction", () => {
    const bench = new Bench("protected");
    assert.deepEqual(call(bench, SEL.code32), jumped);
    assert.deepEqual(bench.stack(2, 4), [BigInt(AT.code + 7), BigInt(SEL.code32)]);
  });

  it("CALL through memory in 64-bit code pushes doublewords, quadwords with REX.W", () => {
    const bench = new Bench("long");
    assert.deepEqual(callIndirect(bench, SEL.code64), jumped);
    assert.deepEqual(bench.stack(2, 4), [BigInt(AT.code + 7), BigInt(SEL.code64)]);
    bench.state.rip = 0n;
    bench.mem.poke(0x9000, 8, 0x401000n);
    bench.mem.poke(0x9008, 2, BigInt(SEL.code64));
    assert.deepEqual(bench.execute("48 ff 1c 25 00 90 00 00"), jumped);
    assert.deepEqual(bench.stack(2, 8), [BigInt(AT.code + 8), BigInt(SEL.code64)]);
  });

  it("a fault on the stack leaves CS and RSP alone", () => {
    const bench = new Bench("protected");
    bench.mem.readOnly.add(7);
    assert.deepEqual(call(bench, SEL.code32), {
      kind: "fault",
      fault: { vector: 14, error: 3, cr2: BigInt(AT.stack0 - 4) },
    });
    assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.stack0));
  });

  it("in real mode CALL and RET use paragraphs", () => {
    const bench = new Bench("real");
    bench.state.setGpr(GPR.rsp, 0x7000n);
    assert.deepEqual(bench.execute("9a 34 12 00 20"), jumped);
    assert.equal(bench.state.segment(SEG.cs).base, 0x20000n);
    assert.equal(bench.state.rip, 0x1234n);
    assert.deepEqual(bench.execute("cb"), jumped);
    assert.equal(bench.selector(SEG.cs), 0);
    assert.equal(bench.state.gpr(GPR.rsp), 0x7000n);
  });

  describe("call gates", () => {
    it("bring a caller of level 3 to level 0 with its parameters", () => {
      const bench = new Bench("protected", { cpl: 3 });
      setCallGate(bench, SEL.gate, { count: 2 });
      bench.push(4, 0xaaaa, 0xbbbb);
      assert.deepEqual(call(bench, SEL.gate | 3), jumped);
      assert.equal(bench.state.cpl, 0);
      assert.equal(bench.selector(SEG.ss), SEL.data);
      assert.deepEqual(bench.stack(6, 4), [
        BigInt(AT.code + 7),
        BigInt(SEL.userCode32),
        0xbbbbn,
        0xaaaan,
        BigInt(AT.stack3 - 8),
        BigInt(SEL.userData),
      ]);
      assert.deepEqual(bench.execute("ca 08 00"), jumped);
      assert.equal(bench.state.cpl, 3);
      assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.stack3), "both stacks drop the parameters");
    });

    it("of 16 bits push words and cut the offset", () => {
      const bench = new Bench("protected");
      setCallGate(bench, SEL.gate, { type: 4, offset: 0x401234 });
      assert.deepEqual(call(bench, SEL.gate), jumped);
      assert.equal(bench.state.rip, 0x1234n);
      assert.deepEqual(bench.stack(2, 2), [BigInt((AT.code + 7) & 0xffff), BigInt(SEL.code32)]);
    });

    it("in long mode are 16 bytes, push quadwords and leave SS null", () => {
      const bench = new Bench("long", { cpl: 3 });
      setCallGate(bench, SEL.gate, { code: SEL.code64 });
      bench.setDescriptor(SEL.gate + 8, 0x1n);
      assert.deepEqual(callIndirect(bench, SEL.gate | 3), jumped);
      assert.equal(bench.state.rip, 0x1_0040_1000n);
      assert.equal(bench.selector(SEG.ss), 0);
      assert.deepEqual(bench.stack(4, 8), [
        BigInt(AT.code + 7),
        BigInt(SEL.userCode64),
        BigInt(AT.stack3),
        BigInt(SEL.userData),
      ]);
    });

    const cases: readonly (readonly [string, Parameters<typeof setCallGate>[2], unknown])[] = [
      ["more privileged than the caller: #GP(gate)", { dpl: 0 }, fault(13, SEL.gate)],
      ["not present: #NP(gate)", { present: false }, fault(11, SEL.gate)],
      ["with a null code selector: #GP(0)", { code: 0 }, gp0],
      ["with data as code: #GP(code)", { code: SEL.data }, fault(13, SEL.data)],
      ["with absent code: #NP(code)", { code: SEL.absentCode }, fault(11, SEL.absentCode)],
    ];
    for (const [title, gate, expected] of cases) {
      it(title, () => {
        const bench = new Bench("protected", { cpl: 3 });
        setCallGate(bench, SEL.gate, gate);
        assert.deepEqual(call(bench, SEL.gate | 3), expected);
        assert.equal(bench.state.cpl, 3);
      });
    }

    it("cannot be jumped through to an inner level", () => {
      const bench = new Bench("protected", { cpl: 3 });
      setCallGate(bench, SEL.gate);
      assert.deepEqual(jump(bench, SEL.gate | 3), fault(13, SEL.code32));
    });

    it("with a bad inner stack in the TSS: #TS with the stack's selector", () => {
      for (const [ss, expected] of [
        [0, fault(10, 0)],
        [SEL.userData, fault(10, SEL.userData & ~3)],
        [SEL.readOnly, fault(10, SEL.readOnly)],
        [SEL.absentData, fault(12, SEL.absentData)],
      ] as const) {
        const bench = new Bench("protected", { cpl: 3 });
        setCallGate(bench, SEL.gate);
        bench.mem.poke(AT.tss + 8, 2, BigInt(ss));
        assert.deepEqual(call(bench, SEL.gate | 3), expected);
      }
    });
  });

  describe("RET", () => {
    it("to an outer level takes SS:ESP and drops inner data segments", () => {
      const bench = new Bench("protected");
      bench.push(4, SEL.userData, AT.stack3, SEL.userCode32, 0x401000);
      assert.deepEqual(bench.execute("cb"), jumped);
      assert.equal(bench.state.cpl, 3);
      assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.stack3));
      assert.ok(bench.state.segment(SEG.ds).unusable);
    });

    it("to an inner level is #GP(selector)", () => {
      const bench = new Bench("protected", { cpl: 3 });
      bench.push(4, SEL.code32, 0x401000);
      assert.deepEqual(bench.execute("cb"), fault(13, SEL.code32));
    });

    it("in 64-bit code with REX.W takes quadwords and a canonical address", () => {
      const bench = new Bench("long");
      bench.push(8, SEL.code64, 0xffff8000_00000000n);
      assert.deepEqual(bench.execute("48 cb"), jumped);
      assert.equal(bench.state.rip, 0xffff8000_00000000n);
      const wrong = new Bench("long");
      wrong.push(8, SEL.code64, 1n << 47n);
      assert.deepEqual(wrong.execute("48 cb"), gp0);
    });

    it("n drops n bytes on the same level", () => {
      const bench = new Bench("protected");
      bench.push(4, 1, 2, SEL.code32, 0x401000);
      bench.execute("ca 08 00");
      assert.equal(bench.state.gpr(GPR.rsp), BigInt(AT.stack0));
    });
  });

  it("a read of the far pointer that faults is the instruction's fault", () => {
    const bench = new Bench("long");
    bench.mem.absent.add(9);
    const result = bench.execute("ff 1c 25 00 90 00 00");
    assert.deepEqual(result, { kind: "fault", fault: { vector: 14, error: 0, cr2: 0x9000n } });
  });

  it("descriptors of the bench are what the manual's figure says", () => {
    assert.equal(descriptor(0, 0xfffff, 0x9b, 0xc), 0x00cf9b000000ffffn);
  });
});
