import assert from "node:assert/strict";
import { EFER, FLAG, GPR, S, SEG } from "../../../../src/x86/cpu/layout";
import { Bench, gp0, SEL, ud } from "./bench";

const SYSCALL = "0f 05";
const SYSRET = "0f 07";
const SYSRETQ = "48 0f 07";

function arranged(bench: Bench): Bench {
  const { state } = bench;
  state.setU64(S.star, (0x20n << 48n) | (BigInt(SEL.code64) << 32n) | 0x12345678n);
  state.setU64(S.lstar, 0xffffffff81000000n);
  state.setU64(S.cstar, 0xffffffff82000000n);
  state.setU64(S.sfmask, FLAG.IF | FLAG.TF);
  return bench;
}

describe("SYSCALL", () => {
  it("saves RIP in RCX and RFLAGS in R11, masks, and enters level 0 flat", () => {
    const bench = arranged(new Bench("long", { cpl: 3 }));
    const { state } = bench;
    state.rflags = 2n | FLAG.IF | FLAG.TF | FLAG.ZF | FLAG.RF;
    assert.deepEqual(bench.execute(SYSCALL), { kind: "jumped", trapFlagAfter: true });
    assert.equal(state.gpr(GPR.rcx), bench.rip + 2n);
    assert.equal(state.gpr(GPR.r11), 2n | FLAG.IF | FLAG.TF | FLAG.ZF | FLAG.RF);
    assert.equal(state.rflags, 2n | FLAG.ZF);
    assert.equal(state.rip, 0xffffffff81000000n);
    assert.deepEqual([state.cpl, state.code64], [0, true]);
    assert.deepEqual([bench.selector(SEG.cs), bench.selector(SEG.ss)], [SEL.code64, SEL.data]);
  });

  it("is #UD without EFER.SCE", () => {
    const bench = arranged(new Bench("long", { cpl: 3 }));
    bench.state.efer &= ~EFER.SCE;
    assert.deepEqual(bench.execute(SYSCALL), ud);
    assert.deepEqual(bench.execute(SYSRET), ud);
  });

  it("in compatibility mode is #UD on Intel and enters through CSTAR on AMD", () => {
    assert.deepEqual(arranged(new Bench("compatibility", { cpl: 3 })).execute(SYSCALL), ud);
    const amd = arranged(new Bench("compatibility", { cpl: 3, vendor: "amd" }));
    assert.deepEqual(amd.execute(SYSCALL), { kind: "jumped", trapFlagAfter: true });
    assert.equal(amd.state.rip, 0xffffffff82000000n);
    assert.ok(amd.state.code64);
  });

  it("in legacy mode enters 32-bit code at STAR[31:0] on AMD", () => {
    const bench = arranged(new Bench("protected", { cpl: 3, vendor: "amd" }));
    bench.state.efer = EFER.SCE;
    bench.state.rflags = 2n | FLAG.IF | FLAG.ZF;
    assert.deepEqual(bench.execute(SYSCALL), { kind: "jumped", trapFlagAfter: true });
    assert.equal(bench.state.rip, 0x12345678n);
    assert.equal(bench.state.rflags, 2n | FLAG.ZF);
    assert.equal(bench.state.cpl, 0);
  });
});

describe("SYSRET", () => {
  it("with REX.W returns to 64-bit code at level 3 with the flags of R11", () => {
    const bench = arranged(new Bench("long"));
    const { state } = bench;
    state.setGpr(GPR.rcx, 0x401000n);
    state.setGpr(GPR.r11, ~0n);
    assert.deepEqual(bench.execute(SYSRETQ), { kind: "jumped", trapFlagAfter: true });
    assert.equal(state.rip, 0x401000n);
    assert.equal(state.rflags, 0x3c7fd7n);
    assert.deepEqual([bench.selector(SEG.cs), bench.selector(SEG.ss)], [0x33, 0x2b]);
    assert.deepEqual([state.cpl, state.code64], [3, true]);
  });

  it("without REX.W returns to 32-bit code with ECX", () => {
    const bench = arranged(new Bench("long"));
    bench.state.setGpr(GPR.rcx, 0xff00401000n);
    bench.execute(SYSRET);
    assert.equal(bench.state.rip, 0x00401000n);
    assert.deepEqual([bench.selector(SEG.cs), bench.state.code64], [0x23, false]);
  });

  it("that sets TF traps at once", () => {
    const bench = arranged(new Bench("long"));
    bench.execute(SYSRETQ);
    assert.equal(bench.state.u32(S.pendingDb), 0);
    bench.state.setGpr(GPR.r11, FLAG.TF);
    bench.load(SEG.cs, SEL.code64);
    bench.load(SEG.ss, SEL.data);
    bench.execute(SYSRETQ);
    assert.equal(bench.state.u32(S.pendingDb), 1 << 14);
  });

  it("to a non-canonical address is #GP(0) at level 0 on Intel, and goes on AMD", () => {
    for (const [vendor, result] of [
      ["intel", gp0],
      ["amd", { kind: "jumped", trapFlagAfter: true }],
    ] as const) {
      const bench = arranged(new Bench("long", { vendor }));
      bench.state.setGpr(GPR.rcx, 1n << 47n);
      assert.deepEqual(bench.execute(SYSRETQ), result);
      assert.equal(bench.state.cpl, vendor === "intel" ? 0 : 3);
    }
  });

  it("is #GP(0) above level 0", () => {
    assert.deepEqual(arranged(new Bench("long", { cpl: 3 })).execute(SYSRETQ), gp0);
  });

  it("loads a flat SS on Intel; AMD changes its selector and level only", () => {
    for (const vendor of ["intel", "amd"] as const) {
      const bench = arranged(new Bench("long", { vendor }));
      bench.state.setSegment(SEG.ss, { ...bench.state.segment(SEG.ss), hi: 0x1234 });
      bench.execute(SYSRETQ);
      const { hi, selector } = bench.state.segment(SEG.ss);
      assert.deepEqual([hi, selector], [vendor === "intel" ? 0xffffffff : 0x1234, 0x2b]);
      assert.equal(bench.state.cpl, 3);
    }
  });
});

describe("SYSENTER and SYSEXIT", () => {
  const arrangedFast = (bench: Bench): Bench => {
    bench.state.setU64(S.sysenterCs, BigInt(SEL.code64));
    bench.state.setU64(S.sysenterEip, 0xffffffff81000000n);
    bench.state.setU64(S.sysenterEsp, 0xffffffff82000000n);
    return bench;
  };

  it("enter 64-bit code at the MSRs' addresses in long mode", () => {
    const bench = arrangedFast(new Bench("compatibility", { cpl: 3 }));
    bench.state.rflags = 2n | FLAG.IF | FLAG.TF;
    assert.deepEqual(bench.execute("0f 34"), { kind: "jumped" });
    const { state } = bench;
    assert.deepEqual([state.rip, state.gpr(GPR.rsp)], [0xffffffff81000000n, 0xffffffff82000000n]);
    assert.deepEqual([state.cpl, state.code64, state.rflags], [0, true, 2n | FLAG.TF]);
  });

  it("cut addresses to 32 bits in legacy mode", () => {
    const bench = arrangedFast(new Bench("protected", { cpl: 3 }));
    bench.execute("0f 34");
    assert.equal(bench.state.rip, 0x81000000n);
    assert.equal(bench.state.code64, false);
  });

  it("are #GP(0) with a null SYSENTER_CS, in real mode, and SYSEXIT above level 0", () => {
    const bench = new Bench("long", { cpl: 3 });
    assert.deepEqual(bench.execute("0f 34"), gp0);
    assert.deepEqual(arrangedFast(new Bench("real")).execute("0f 34"), gp0);
    assert.deepEqual(arrangedFast(bench).execute("0f 35"), gp0);
  });

  it("return to RDX and RCX, which must be canonical", () => {
    const bench = arrangedFast(new Bench("long"));
    const { state } = bench;
    state.setGpr(GPR.rdx, 0x401000n);
    state.setGpr(GPR.rcx, 0x7ff000n);
    assert.deepEqual(bench.execute("48 0f 35"), { kind: "jumped" });
    assert.deepEqual([state.rip, state.gpr(GPR.rsp), state.cpl], [0x401000n, 0x7ff000n, 3]);
    assert.deepEqual([bench.selector(SEG.cs), bench.selector(SEG.ss)], [0x2b, 0x33]);
    const wrong = arrangedFast(new Bench("long"));
    wrong.state.setGpr(GPR.rcx, 1n << 47n);
    assert.deepEqual(wrong.execute("48 0f 35"), gp0);
  });

  it("are #UD in long mode on AMD", () => {
    assert.deepEqual(arrangedFast(new Bench("long", { vendor: "amd" })).execute("0f 34"), ud);
  });
});

describe("SWAPGS", () => {
  it("exchanges the two bases at level 0 of 64-bit code", () => {
    const bench = new Bench("long");
    bench.state.setSegment(SEG.gs, { ...bench.state.segment(SEG.gs), base: 1n });
    bench.state.setU64(S.kernelGsBase, 2n);
    assert.equal(bench.execute("0f 01 f8"), undefined);
    assert.deepEqual([bench.state.segment(SEG.gs).base, bench.state.u64(S.kernelGsBase)], [2n, 1n]);
    assert.deepEqual(new Bench("long", { cpl: 3 }).execute("0f 01 f8"), gp0);
  });
});
