import assert from "node:assert/strict";
import { CR4, FLAG, GPR, S, SEG } from "../../../../src/x86/cpu/layout";
import { AT, Bench, descriptor, fault, gp0, SEL, ud } from "./bench";

const withAx = (bench: Bench, selector: number, hex: string): unknown => {
  bench.state.setGpr(GPR.rax, BigInt(selector));
  return bench.execute(hex);
};
const ltr = (bench: Bench, selector: number): unknown => withAx(bench, selector, "0f 00 d8");
const lldt = (bench: Bench, selector: number): unknown => withAx(bench, selector, "0f 00 d0");

describe("descriptor tables", () => {
  it("LGDT and LIDT load ten bytes in 64-bit code, the base canonical", () => {
    const bench = new Bench("long");
    bench.mem.poke(0x9000, 2, 0x1234n);
    bench.mem.poke(0x9002, 8, 0xffff8000_00001000n);
    assert.equal(bench.execute("0f 01 14 25 00 90 00 00"), undefined);
    assert.equal(bench.state.u64(S.gdtrBase), 0xffff8000_00001000n);
    assert.equal(bench.state.u32(S.gdtrLimit), 0x1234);
    bench.mem.poke(0x9002, 8, 1n << 56n);
    assert.deepEqual(bench.execute("0f 01 1c 25 00 90 00 00"), gp0);
  });

  it("bases have 57 bits where LA57 is offered, used or not, else 48", () => {
    const load = (bench: Bench, base: bigint): unknown[] => {
      bench.mem.poke(0x9002, 8, base);
      bench.setDescriptor(SEL.freeTss + 8, base >> 32n);
      bench.setDescriptor(SEL.ldt + 8, base >> 32n);
      return [
        bench.execute("0f 01 1c 25 00 90 00 00"),
        ltr(bench, SEL.freeTss),
        lldt(bench, SEL.ldt),
      ];
    };
    const refused = [gp0, fault(13, SEL.freeTss), fault(13, SEL.ldt)];
    const done = [undefined, undefined, undefined];
    assert.deepEqual(load(new Bench("long"), 1n << 55n), done);
    assert.deepEqual(load(new Bench("long"), 1n << 56n), refused);
    const bench = new Bench("long");
    const features = new Set(bench.model.features);
    features.delete("la57");
    bench.model = { ...bench.model, features };
    assert.deepEqual(load(bench, 1n << 55n), refused);
    assert.equal(bench.mem.peek(AT.gdt + SEL.freeTss + 5, 1), 0x89n, "not busy");
  });

  it("with 16-bit operands the base has 24 bits", () => {
    const bench = new Bench("protected");
    bench.mem.poke(0x9002, 4, 0xff123456n);
    assert.equal(bench.execute("66 0f 01 15 00 90 00 00"), undefined);
    assert.equal(bench.state.u64(S.gdtrBase), 0x123456n);
  });

  it("SGDT stores limit and base", () => {
    const bench = new Bench("long");
    assert.equal(bench.execute("0f 01 04 25 00 90 00 00"), undefined);
    assert.equal(bench.mem.peek(0x9000, 2), BigInt(SEL.end - 1));
    assert.equal(bench.mem.peek(0x9002, 8), BigInt(AT.gdt));
  });

  it("UMIP hides SGDT, SIDT, SLDT and STR from level 3; loads are level 0's anyway", () => {
    const stores = ["0f 01 04 25 00 90 00 00", "0f 01 0c 25 00 90 00 00", "0f 00 c0", "0f 00 c8"];
    for (const store of stores) {
      const bench = new Bench("long", { cpl: 3 });
      assert.equal(bench.execute(store), undefined);
      bench.state.cr4 |= CR4.UMIP;
      assert.deepEqual(bench.execute(store), gp0);
      const kernel = new Bench("long");
      kernel.state.cr4 |= CR4.UMIP;
      assert.equal(kernel.execute(store), undefined);
    }
    for (const load of [
      "0f 01 14 25 00 90 00 00",
      "0f 01 1c 25 00 90 00 00",
      "0f 00 d0",
      "0f 00 d8",
    ])
      assert.deepEqual(new Bench("long", { cpl: 3 }).execute(load), gp0);
  });

  describe("LTR", () => {
    it("marks the TSS busy and takes 16 bytes in long mode", () => {
      const bench = new Bench("long");
      bench.setDescriptor(SEL.freeTss + 8, 0xffff8000n);
      assert.equal(ltr(bench, SEL.freeTss), undefined);
      assert.equal(bench.state.segment(SEG.tr).base, 0xffff8000_00005000n);
      assert.equal(bench.state.segment(SEG.tr).attr & 0xf, 0xb);
      assert.equal(bench.mem.peek(AT.gdt + SEL.freeTss + 5, 1), 0x8bn);
      assert.deepEqual(ltr(bench, SEL.freeTss), fault(13, SEL.freeTss), "busy");
    });

    const cases: readonly (readonly [string, number, unknown])[] = [
      ["null is #GP(0)", 0, gp0],
      ["in the LDT is #GP(selector)", 0x0c, fault(13, 0x0c)],
      ["not a TSS is #GP(selector)", SEL.data, fault(13, SEL.data)],
      ["an LDT is #GP(selector)", SEL.ldt, fault(13, SEL.ldt)],
      ["absent is #NP(selector)", SEL.absentTss, fault(11, SEL.absentTss)],
    ];
    for (const [title, selector, expected] of cases)
      it(title, () => assert.deepEqual(ltr(new Bench("protected"), selector), expected));

    it("a second half with a type is #GP(selector)", () => {
      const bench = new Bench("long");
      bench.setDescriptor(SEL.freeTss + 8, descriptor(0, 0, 0x89, 0));
      assert.deepEqual(ltr(bench, SEL.freeTss), fault(13, SEL.freeTss));
    });
  });

  it("LLDT loads a table, makes null unusable, and refuses what is no table", () => {
    const bench = new Bench("protected");
    assert.equal(lldt(bench, SEL.ldt), undefined);
    assert.deepEqual(
      [bench.state.segment(SEG.ldtr).base, bench.state.segment(SEG.ldtr).hi],
      [BigInt(AT.ldt), 0x1f],
    );
    assert.equal(lldt(bench, 0), undefined);
    assert.ok(bench.state.segment(SEG.ldtr).unusable);
    assert.deepEqual(lldt(bench, SEL.data), fault(13, SEL.data));
  });

  it("selector instructions are #UD in real and virtual-8086 mode", () => {
    for (const hex of [
      "0f 00 d0",
      "0f 00 d8",
      "0f 00 c0",
      "0f 02 c0",
      "0f 03 c0",
      "0f 00 e0",
      "63 c0",
    ]) {
      assert.deepEqual(new Bench("real").execute(hex), ud);
      assert.deepEqual(new Bench("v8086").execute(hex), ud);
    }
  });

  describe("LAR, LSL, VERR and VERW", () => {
    const ask = (bench: Bench, hex: string, selector: number): bigint | undefined => {
      bench.state.setGpr(GPR.rbx, 0x5555n);
      bench.state.setGpr(GPR.rax, BigInt(selector));
      assert.equal(bench.execute(hex), undefined);
      return bench.state.rflags & FLAG.ZF ? bench.state.gpr(GPR.rbx) : undefined;
    };
    const lar = "0f 02 d8";
    const lsl = "0f 03 d8";
    const verr = "0f 00 e0";
    const verw = "0f 00 e8";

    it("answer with rights and byte limit, or clear ZF and leave the register", () => {
      const bench = new Bench("protected");
      assert.equal(ask(bench, lar, SEL.data), 0x00c09300n);
      assert.equal(ask(bench, lsl, SEL.data), 0xffffffffn);
      assert.equal(ask(bench, lsl, SEL.ldt), 0x1fn);
      assert.equal(ask(bench, lar, 0), undefined);
      assert.equal(ask(bench, lar, 0x1000), undefined);
      assert.equal(bench.state.gpr(GPR.rbx), 0x5555n);
    });

    it("know gates for LAR only, and fewer system types in long mode", () => {
      const bench = new Bench("protected");
      bench.setDescriptor(SEL.gate, descriptor(0, 0, 0x84, 0));
      assert.equal(ask(bench, lar, SEL.gate), 0x8400n);
      assert.equal(ask(bench, lsl, SEL.gate), undefined);
      const long = new Bench("long");
      long.setDescriptor(SEL.gate, descriptor(0, 0, 0x84, 0));
      assert.equal(ask(long, lar, SEL.gate), undefined);
    });

    it("tell level 3 nothing of inner segments but conforming ones", () => {
      const bench = new Bench("protected", { cpl: 3 });
      assert.equal(ask(bench, lar, SEL.data), undefined);
      assert.equal(ask(bench, lar, SEL.conforming), 0x00c09f00n);
      assert.equal(ask(bench, verr, SEL.userData), 0x5555n);
      assert.equal(ask(bench, verw, SEL.userData), 0x5555n);
      assert.equal(ask(bench, verw, SEL.userCode32), undefined);
    });

    it("ask the page tables too: their page faults are real", () => {
      const bench = new Bench("protected");
      bench.mem.absent.add(1);
      bench.state.setGpr(GPR.rax, BigInt(SEL.data));
      assert.equal(bench.execute(lar)?.kind, "fault");
    });
  });

  it("ARPL raises the RPL and says so in ZF", () => {
    const bench = new Bench("protected");
    bench.state.setGpr(GPR.rax, 0x10n);
    bench.state.setGpr(GPR.rbx, 3n);
    bench.execute("63 d8");
    assert.equal(bench.state.gpr(GPR.rax), 0x13n);
    assert.ok(bench.state.rflags & FLAG.ZF);
    bench.execute("63 d8");
    assert.ok(!(bench.state.rflags & FLAG.ZF));
  });
});
