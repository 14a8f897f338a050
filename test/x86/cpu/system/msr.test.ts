import assert from "node:assert/strict";
import { GPR, S, SEG } from "../../../../src/x86/cpu/layout";
import { Bench, gp0 } from "./bench";

const wrmsr = (bench: Bench, index: number, value: bigint): unknown => {
  bench.state.setGpr(GPR.rcx, BigInt(index));
  bench.state.setGpr(GPR.rax, value & 0xffffffffn);
  bench.state.setGpr(GPR.rdx, value >> 32n);
  return bench.execute("0f 30");
};
const rdmsr = (bench: Bench, index: number): unknown => {
  bench.state.setGpr(GPR.rcx, BigInt(index));
  const result = bench.execute("0f 32");
  return result ?? bench.state.gpr(GPR.rax) | (bench.state.gpr(GPR.rdx) << 32n);
};
const NONCANONICAL = 1n << 58n;

describe("model-specific registers", () => {
  it("belong to level 0", () => {
    const bench = new Bench("long", { cpl: 3 });
    assert.deepEqual(rdmsr(bench, 0x10), gp0);
    assert.deepEqual(wrmsr(bench, 0x10, 0n), gp0);
  });

  it("an unknown one is #GP(0) both ways; the board answers for its own", () => {
    const bench = new Bench("long");
    assert.deepEqual(rdmsr(bench, 0x12345), gp0);
    assert.deepEqual(wrmsr(bench, 0x12345, 0n), gp0);
    assert.equal(rdmsr(bench, 0x800), 5n);
    assert.equal(wrmsr(bench, 0x800, 1n), undefined);
  });

  it("one of an absent feature is #GP(0)", () => {
    const bench = new Bench("long");
    bench.model = { ...bench.model, features: new Set() };
    for (const index of [0x10, 0x3b, 0x174, 0x277, 0x2ff, 0xc0000081, 0xc0000102, 0xc0000103])
      assert.deepEqual(rdmsr(bench, index), gp0, index.toString(16));
  });

  it("address registers refuse non-canonical values, with 57 bits where LA57 is offered", () => {
    const bench = new Bench("long");
    for (const index of [
      0x175, 0x176, 0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102,
    ]) {
      assert.deepEqual(wrmsr(bench, index, NONCANONICAL), gp0, index.toString(16));
      assert.equal(wrmsr(bench, index, 1n << 50n), undefined);
      assert.equal(rdmsr(bench, index), 1n << 50n);
    }
    const features = new Set(bench.model.features);
    features.delete("la57");
    bench.model = { ...bench.model, features };
    assert.deepEqual(wrmsr(bench, 0xc0000082, 1n << 50n), gp0);
  });

  it("SYSENTER addresses have 32 bits on AMD", () => {
    const bench = new Bench("long", { vendor: "amd" });
    assert.equal(wrmsr(bench, 0x175, NONCANONICAL | 5n), undefined);
    assert.equal(rdmsr(bench, 0x175), 5n);
  });

  it("FS and GS bases are the segments' own", () => {
    const bench = new Bench("long");
    wrmsr(bench, 0xc0000100, 0x1111n);
    assert.equal(bench.state.segment(SEG.fs).base, 0x1111n);
  });

  it("PAT takes only memory types that exist", () => {
    const bench = new Bench("long");
    assert.equal(rdmsr(bench, 0x277), 0x0007040600070406n);
    assert.deepEqual(wrmsr(bench, 0x277, 0x02n), gp0);
    assert.deepEqual(wrmsr(bench, 0x277, 0x0800000000000000n), gp0);
    assert.equal(wrmsr(bench, 0x277, 0x0001040500070406n), undefined);
  });

  it("MTRRs keep what is written and refuse reserved bits", () => {
    const bench = new Bench("long");
    assert.equal(rdmsr(bench, 0xfe), 0x508n);
    assert.deepEqual(wrmsr(bench, 0xfe, 0n), gp0);
    assert.equal(wrmsr(bench, 0x20f, 0xff_f000_0800n), undefined);
    assert.equal(rdmsr(bench, 0x20f), 0xff_f000_0800n);
    assert.deepEqual(wrmsr(bench, 0x200, 1n << 40n), gp0);
    assert.deepEqual(wrmsr(bench, 0x250, 0x0202020202020202n), gp0);
    assert.equal(wrmsr(bench, 0x26f, 0x0606060606060606n), undefined);
    assert.deepEqual(wrmsr(bench, 0x2ff, 0x1000n), gp0);
    assert.equal(wrmsr(bench, 0x2ff, 0xc06n), undefined);
    assert.deepEqual(rdmsr(bench, 0x210), gp0);
  });

  it("a write to the TSC moves TSC_ADJUST by as much, and the other way round", () => {
    const bench = new Bench("long");
    assert.equal(rdmsr(bench, 0x10), 1000n);
    wrmsr(bench, 0x10, 5000n);
    assert.equal(rdmsr(bench, 0x3b), 4000n);
    wrmsr(bench, 0x3b, 0n);
    assert.equal(rdmsr(bench, 0x10), 1000n);
    bench.execute("0f 31");
    assert.equal(bench.state.gpr(GPR.rax), 1000n);
  });

  it("TSC_AUX has 32 bits and comes with RDTSCP", () => {
    const bench = new Bench("long");
    assert.deepEqual(wrmsr(bench, 0xc0000103, 1n << 32n), gp0);
    wrmsr(bench, 0xc0000103, 9n);
    bench.execute("0f 01 f9");
    assert.equal(bench.state.gpr(GPR.rcx), 9n);
  });

  it("machine check has no banks", () => {
    const bench = new Bench("long");
    assert.equal(rdmsr(bench, 0x179), 0n);
    assert.deepEqual(rdmsr(bench, 0x400), gp0);
    assert.equal(bench.state.u64(S.debugCtl), 0n);
  });
});
