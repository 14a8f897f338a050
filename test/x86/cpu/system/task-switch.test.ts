import assert from "node:assert/strict";
import { CR0, FLAG, GPR, S, SEG } from "../../../../src/x86/cpu/layout";
import type { SysResult } from "../../../../src/x86/cpu/system/context";
import { AT, Bench, descriptor, fault, SEL } from "./bench";

/** The other task's TSS and stack. */
const NEW = 0x6000;
const STACK = 0xb000;
const ENTRY = 0x21000;
const IRET = "cf";

/** Offsets in a 32-bit TSS (SDM 3A figure 7-2). */
const T32 = {
  link: 0,
  cr3: 0x1c,
  eip: 0x20,
  eflags: 0x24,
  eax: 0x28,
  esp: 0x38,
  es: 0x48,
  cs: 0x4c,
  ss: 0x50,
  ldt: 0x60,
  trap: 0x64,
} as const;

/** A bench with a second task behind `SEL.freeTss`. */
function withTask({ cpl = 0, vm = false }: { cpl?: 0 | 3; vm?: boolean } = {}): Bench {
  const bench = new Bench("protected", { cpl });
  bench.setDescriptor(SEL.freeTss, descriptor(NEW, 0x67, 0x89, 0));
  const { mem } = bench;
  mem.poke(NEW + T32.cr3, 4, 0x77000n);
  mem.poke(NEW + T32.eip, 4, BigInt(ENTRY));
  mem.poke(NEW + T32.eflags, 4, vm ? 2n | FLAG.VM : 0x202n);
  for (let n = 0; n < 8; n++) mem.poke(NEW + T32.eax + 4 * n, 4, BigInt(0x1000 + n));
  mem.poke(NEW + T32.esp, 4, BigInt(STACK));
  for (let n = 0; n < 6; n++) mem.poke(NEW + T32.es + 4 * n, 2, BigInt(vm ? 0x100 : SEL.data));
  mem.poke(NEW + T32.cs, 2, BigInt(vm ? 0x200 : SEL.code32));
  mem.poke(NEW + T32.ldt, 2, BigInt(SEL.ldt));
  return bench;
}
const farHex = (opcode: string, selector: number): string =>
  `${opcode} 00 00 00 00 ${(selector & 0xff).toString(16)} ${(selector >> 8).toString(16)}`;
const jump = (bench: Bench, selector: number = SEL.freeTss): SysResult =>
  bench.execute(farHex("ea", selector));
const call = (bench: Bench, selector: number = SEL.freeTss): SysResult =>
  bench.execute(farHex("9a", selector));
const busy = (bench: Bench, selector: number): boolean =>
  (bench.mem.peek(AT.gdt + selector + 5, 1) & 2n) !== 0n;
const jumped = { kind: "jumped" };
const late = (vector: number, error: number): unknown => ({
  kind: "fault",
  fault: { vector, error },
  inNewTask: true,
});

describe("hardware task switch (SDM 3A 7.3)", () => {
  it("JMP saves the old task, loads the new one and moves the busy bit", () => {
    const bench = withTask();
    const { state, mem } = bench;
    state.setGpr(GPR.rcx, 0xccccn);
    state.setU64(S.dr + 56, 0x4ffn);
    assert.deepEqual(jump(bench), jumped);
    assert.deepEqual(
      [T32.eip, T32.eflags, T32.eax + 4].map((at) => mem.peek(AT.tss + at, 4)),
      [BigInt(AT.code + 7), 2n, 0xccccn],
    );
    assert.equal(mem.peek(AT.tss + T32.cs, 2), BigInt(SEL.code32));
    assert.deepEqual([state.rip, state.rflags], [BigInt(ENTRY), 0x202n]);
    assert.deepEqual([state.gpr(GPR.rax), state.gpr(GPR.rdi)], [0x1000n, 0x1007n]);
    assert.equal(state.gpr(GPR.rsp), BigInt(STACK));
    assert.equal(bench.selector(SEG.ss), SEL.data);
    assert.equal(state.segment(SEG.ldtr).base, BigInt(AT.ldt));
    assert.deepEqual(
      [bench.selector(SEG.tr), state.segment(SEG.tr).attr & 0xf],
      [SEL.freeTss, 0xb],
    );
    assert.deepEqual([busy(bench, SEL.tss), busy(bench, SEL.freeTss)], [false, true]);
    assert.notEqual(state.cr0 & CR0.TS, 0n);
    assert.equal(state.u64(S.dr + 56), 0x4aan, "local breakpoints are the old task's");
    assert.deepEqual(bench.heard.control, [], "without paging CR3 stays");
  });

  it("CALL links back with NT, and IRET follows the link", () => {
    const bench = withTask();
    const { state, mem } = bench;
    assert.deepEqual(call(bench), jumped);
    assert.equal(mem.peek(NEW + T32.link, 2), BigInt(SEL.tss));
    assert.equal(state.rflags, 0x202n | FLAG.NT);
    assert.ok(busy(bench, SEL.tss) && busy(bench, SEL.freeTss));
    bench.rip = BigInt(ENTRY);
    assert.deepEqual(bench.execute(IRET), jumped);
    assert.deepEqual([state.rip, state.rflags], [BigInt(AT.code + 7), 2n]);
    assert.equal(bench.selector(SEG.tr), SEL.tss);
    assert.deepEqual([busy(bench, SEL.tss), busy(bench, SEL.freeTss)], [true, false]);
    assert.equal(mem.peek(NEW + T32.eflags, 4) & FLAG.NT, 0n, "saved without NT");
    assert.equal(mem.peek(NEW + T32.eip, 4), BigInt(ENTRY + 1));
  });

  it("with paging CR3 comes from the TSS, and all but global translations go", () => {
    const bench = withTask();
    bench.state.cr0 |= CR0.PG;
    assert.deepEqual(jump(bench), jumped);
    assert.equal(bench.state.cr3, 0x77000n);
    assert.deepEqual(bench.heard.control, ["cr3 0→77000"]);
    assert.deepEqual(bench.heard.flushes, ["not global"]);
  });

  it("a fault's task gate: the error code goes on the new stack, the old EIP is the instruction's", () => {
    const bench = withTask();
    bench.setGate(14, { type: 5, selector: SEL.freeTss });
    assert.equal(bench.deliver({ vector: 14, kind: "fault", error: 2, cr2: 0x123n }), undefined);
    assert.equal(bench.state.gpr(GPR.rsp), BigInt(STACK - 4));
    assert.equal(bench.mem.peek(STACK - 4, 4), 2n);
    assert.equal(bench.mem.peek(AT.tss + T32.eip, 4), BigInt(AT.code));
    assert.equal(bench.mem.peek(AT.tss + T32.eflags, 4), 2n | FLAG.RF);
    assert.equal(bench.state.cr2, 0x123n);
    assert.notEqual(bench.state.rflags & FLAG.NT, 0n);
  });

  it("a virtual-8086 task loads paragraphs, at level 3", () => {
    const bench = withTask({ vm: true });
    assert.deepEqual(jump(bench), jumped);
    assert.deepEqual([bench.state.cpl, bench.state.segment(SEG.cs).base], [3, 0x2000n]);
  });

  it("a 16-bit TSS has four segments and half registers", () => {
    const bench = withTask();
    bench.setDescriptor(SEL.freeTss, descriptor(NEW, 0x2b, 0x81, 0));
    for (let at = 0; at < 0x2c; at += 4) bench.mem.poke(NEW + at, 4, 0n);
    bench.mem.poke(NEW + 0x0e, 2, 0x4321n);
    bench.mem.poke(NEW + 0x10, 2, 0x202n);
    bench.mem.poke(NEW + 0x12, 2, 0xaaaan);
    for (const [at, selector] of [
      [0x22, SEL.data],
      [0x24, SEL.code32],
      [0x26, SEL.data],
      [0x28, SEL.data],
    ] as const)
      bench.mem.poke(NEW + at, 2, BigInt(selector));
    assert.deepEqual(jump(bench), jumped);
    assert.deepEqual([bench.state.rip, bench.state.gpr(GPR.rax)], [0x4321n, 0xaaaan]);
    assert.ok(bench.state.segment(SEG.fs).unusable);
    assert.equal(bench.state.segment(SEG.tr).attr & 0xf, 3);
  });

  it("the T bit of the new TSS asks for a debug trap (DR6.BT)", () => {
    const bench = withTask();
    bench.mem.poke(NEW + T32.trap, 2, 1n);
    jump(bench);
    assert.equal(bench.state.u32(S.pendingDb), 0x8000);
  });

  describe("in the old task, nothing changed", () => {
    const cases: readonly (readonly [string, (bench: Bench) => SysResult, SysResult])[] = [
      ["a busy TSS is #GP(selector)", (bench) => jump(bench, SEL.tss), fault(13, SEL.tss)],
      [
        "an absent one #NP(selector)",
        (bench) => jump(bench, SEL.absentTss),
        fault(11, SEL.absentTss),
      ],
      [
        "one that is too short #TS(selector)",
        (bench) => {
          bench.setDescriptor(SEL.freeTss, descriptor(NEW, 0x66, 0x89, 0));
          return jump(bench);
        },
        fault(10, SEL.freeTss),
      ],
      [
        "IRET to a task that is not busy #TS(link)",
        (bench) => {
          bench.state.rflags |= FLAG.NT;
          bench.mem.poke(AT.tss, 2, BigInt(SEL.freeTss));
          return bench.execute(IRET);
        },
        fault(10, SEL.freeTss),
      ],
      [
        "a task gate to an LDT selector is #GP(selector)",
        (bench) => {
          bench.setDescriptor(SEL.gate, (BigInt(SEL.freeTss | 4) << 16n) | (0x85n << 40n));
          return jump(bench, SEL.gate);
        },
        fault(13, SEL.freeTss | 4),
      ],
    ];
    for (const [title, act, expected] of cases)
      it(title, () => {
        const bench = withTask();
        assert.deepEqual(act(bench), expected);
        assert.equal(bench.selector(SEG.tr), SEL.tss);
        assert.ok(busy(bench, SEL.tss) && !busy(bench, SEL.freeTss));
        assert.equal(bench.mem.peek(AT.tss + T32.eip, 4), 0n);
      });

    it("level 3 needs the DPL of the TSS or of the gate, not of what the gate names", () => {
      const bench = withTask({ cpl: 3 });
      assert.deepEqual(jump(bench), fault(13, SEL.freeTss));
      bench.setDescriptor(SEL.gate, (BigInt(SEL.freeTss) << 16n) | (0xe5n << 40n));
      assert.deepEqual(jump(bench, SEL.gate), jumped);
    });
  });

  describe("in the new task, at its first instruction", () => {
    const cases: readonly (readonly [string, number, number, unknown])[] = [
      ["an LDT that is none is #TS(selector)", T32.ldt, SEL.data, late(10, SEL.data)],
      ["CS of data is #TS(selector)", T32.cs, SEL.data, late(10, SEL.data)],
      ["absent CS is #NP(selector)", T32.cs, SEL.absentCode, late(11, SEL.absentCode)],
      ["null SS is #TS(0)", T32.ss, 0, late(10, 0)],
      ["SS of another level is #TS(selector)", T32.ss, SEL.userData, late(10, SEL.userData & ~3)],
      ["absent SS is #SS(selector)", T32.ss, SEL.absentData, late(12, SEL.absentData)],
      ["execute-only ES is #TS(selector)", T32.es, SEL.executeOnly, late(10, SEL.executeOnly)],
      ["absent ES is #NP(selector)", T32.es, SEL.absentData, late(11, SEL.absentData)],
    ];
    for (const [title, at, selector, expected] of cases)
      it(title, () => {
        const bench = withTask();
        bench.mem.poke(NEW + at, 2, BigInt(selector));
        assert.deepEqual(jump(bench), expected);
        assert.equal(bench.selector(SEG.tr), SEL.freeTss);
        assert.equal(bench.state.rip, BigInt(ENTRY));
      });

    it("EIP beyond the code segment is #GP(0)", () => {
      const bench = withTask();
      bench.setDescriptor(SEL.code32, descriptor(0, 0xff, 0x9b, 4));
      assert.deepEqual(jump(bench), late(13, 0));
    });

    it("a fault while an exception is delivered is the new task's, and may double it", () => {
      const bench = withTask();
      bench.setGate(13, { type: 5, selector: SEL.freeTss });
      bench.mem.poke(NEW + T32.ss, 2, 0n);
      bench.state.setGpr(GPR.rsp, BigInt(AT.stack0));
      assert.deepEqual(bench.deliver({ vector: 13, kind: "fault", error: 0 }), {
        kind: "shutdown",
      });
      assert.equal(bench.state.rip, BigInt(ENTRY), "no stack in the new task either");
    });
  });

  it("there are no tasks in long mode: #GP(selector)", () => {
    const bench = new Bench("compatibility");
    assert.deepEqual(jump(bench), fault(13, SEL.freeTss));
    bench.state.rflags |= FLAG.NT;
    assert.deepEqual(bench.execute(IRET), fault(13, 0));
  });
});
