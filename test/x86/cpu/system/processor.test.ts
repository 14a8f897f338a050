import assert from "node:assert/strict";
import { CR0, CR4, FLAG, GPR, S, SEG } from "../../../../src/x86/cpu/layout";
import { ROWS } from "../../../../src/x86/cpu/opcode-rows";
import { defaultModel, FEATURES } from "../../../../src/x86/cpu/system/cpu-model";
import { resetState, startup } from "../../../../src/x86/cpu/system/reset";
import { sysops } from "../../../../src/x86/cpu/system/sysops";
import { AT, Bench, gp0, ud } from "./bench";

describe("system instructions", () => {
  it("every row of the opcode table that asks for one finds it", () => {
    const names = ROWS.filter((row) => row.flags.has("sys") && !row.flags.has("todo"));
    assert.ok(names.length > 50);
    assert.deepEqual(
      names.map(({ name }) => name).filter((name) => !sysops[name]),
      [],
    );
  });

  describe("privilege", () => {
    const privileged = ["f4", "0f 08", "0f 09", "0f 01 3f", "0f 32", "0f 30", "0f 06", "0f 01 f0"];
    for (const hex of privileged) {
      it(`${hex} is #GP(0) at level 3`, () => {
        assert.deepEqual(new Bench("long", { cpl: 3 }).execute(hex), gp0);
      });
    }

    it("what this processor does not offer is #UD", () => {
      for (const hex of [
        "0f 0b",
        "0f 01 c8",
        "0f 01 c9",
        "0f 01 d0",
        "0f 01 d1",
        "0f 01 d8",
        "0f aa",
        "0f ae 20",
      ])
        assert.deepEqual(new Bench("long").execute(hex), ud, hex);
    });

    it("VMCALL and VMMCALL are the board's, #UD without one", () => {
      const bench = new Bench("long");
      assert.deepEqual(bench.execute("0f 01 c1"), ud);
      bench.hypercallResult = -1000n;
      assert.equal(bench.execute("0f 01 d9"), undefined);
      assert.equal(bench.state.gpr(GPR.rax), BigInt.asUintN(64, -1000n));
    });

    it("RDTSC obeys TSD, RDPMC has no counters", () => {
      const bench = new Bench("long", { cpl: 3 });
      assert.equal(bench.execute("0f 31"), undefined);
      bench.state.cr4 |= CR4.TSD;
      assert.deepEqual(bench.execute("0f 31"), gp0);
      assert.deepEqual(bench.execute("0f 01 f9"), gp0);
      assert.deepEqual(new Bench("long").execute("0f 33"), gp0);
    });
  });

  describe("flags", () => {
    it("CLI and STI follow IOPL, and STI casts a shadow when interrupts were off", () => {
      const bench = new Bench("long", { cpl: 3 });
      assert.deepEqual(bench.execute("fb"), gp0);
      bench.iopl = 3;
      assert.equal(bench.execute("fb"), undefined);
      assert.equal(bench.state.u32(S.shadow), 1);
      bench.state.setU32(S.shadow, 0);
      bench.execute("fb");
      assert.equal(bench.state.u32(S.shadow), 0);
      assert.equal(bench.execute("fa"), undefined);
      assert.equal(bench.state.rflags & FLAG.IF, 0n);
    });

    it("virtual-8086 mode needs IOPL 3 for CLI, STI and INT n, not for INT3", () => {
      const bench = new Bench("v8086");
      for (const hex of ["fa", "fb", "cd 20"]) assert.deepEqual(bench.execute(hex), gp0, hex);
      bench.setGate(3, { dpl: 3 });
      assert.equal(bench.execute("cc")?.kind, "jumped");
    });

    it("STAC and CLAC are #UD above level 0 and without SMAP", () => {
      const bench = new Bench("long");
      bench.execute("0f 01 cb");
      assert.ok(bench.state.rflags & FLAG.AC);
      bench.execute("0f 01 ca");
      assert.ok(!(bench.state.rflags & FLAG.AC));
      assert.deepEqual(new Bench("long", { cpl: 3 }).execute("0f 01 cb"), ud);
      bench.model = { ...bench.model, features: new Set() };
      assert.deepEqual(bench.execute("0f 01 cb"), ud);
    });

    it("INTO traps only on overflow, with the next instruction's address", () => {
      const bench = new Bench("protected");
      assert.equal(bench.execute("ce"), undefined);
      bench.state.rflags = 2n | FLAG.OF;
      assert.equal(bench.execute("ce")?.kind, "jumped");
      assert.equal(bench.stack(1, 4)[0], BigInt(AT.code + 1));
    });

    it("BOUND is #BR outside its bounds, signed", () => {
      const bench = new Bench("protected");
      bench.mem.poke(0x9000, 4, 0xfffffffen);
      bench.mem.poke(0x9004, 4, 5n);
      for (const [index, result] of [
        [0xfffffffen, undefined],
        [5n, undefined],
        [6n, { kind: "fault", fault: { vector: 5 } }],
        [0xfffffffdn, { kind: "fault", fault: { vector: 5 } }],
      ] as const) {
        bench.state.setGpr(GPR.rax, index);
        assert.deepEqual(bench.execute("62 05 00 90 00 00"), result);
      }
    });
  });

  describe("translations", () => {
    it("INVLPG flushes and tells the board, which may stop it", () => {
      const bench = new Bench("long");
      bench.state.setGpr(GPR.rdi, 0x123456n);
      bench.stopBefore = true;
      assert.deepEqual(bench.execute("0f 01 3f"), { kind: "stop" });
      assert.deepEqual(bench.heard.flushes, []);
      bench.stopBefore = false;
      assert.equal(bench.execute("0f 01 3f"), undefined);
      assert.deepEqual(bench.heard, { flushes: ["123456"], control: ["invlpg 123456"], out: [] });
    });

    it("INVLPG of a non-canonical address does nothing and does not fault", () => {
      const bench = new Bench("long");
      bench.state.setGpr(GPR.rdi, 1n << 47n);
      assert.equal(bench.execute("0f 01 3f"), undefined);
      assert.deepEqual(bench.heard.flushes, []);
    });

    const invpcid = (bench: Bench, type: bigint, low: bigint, va = 0n): unknown => {
      bench.state.setGpr(GPR.rax, type);
      bench.state.setGpr(GPR.rcx, 0x9000n);
      bench.mem.poke(0x9000, 8, low);
      bench.mem.poke(0x9008, 8, va);
      return bench.execute("66 0f 38 82 01");
    };

    it("F-122 INVPCID flushes by type, and only what the current PCID has", () => {
      for (const [type, pcid, flushes] of [
        [0n, 5n, ["7000"]],
        [0n, 6n, []],
        [1n, 5n, ["not global"]],
        [2n, 0n, ["all"]],
        [3n, 0n, ["not global"]],
      ] as const) {
        const bench = new Bench("long");
        bench.state.cr4 |= CR4.PCIDE;
        bench.state.cr3 = 0x1005n;
        assert.equal(invpcid(bench, type, pcid, 0x7000n), undefined);
        assert.deepEqual(bench.heard.flushes, flushes);
        assert.deepEqual(bench.heard.control, [`invpcid ${type} ${pcid} 7000`]);
      }
    });

    it("F-122 INVPCID refuses unknown types, reserved bits, wrong PCIDs and addresses", () => {
      assert.deepEqual(invpcid(new Bench("long"), 4n, 0n), gp0);
      assert.deepEqual(invpcid(new Bench("long"), 2n, 0x1000n), gp0);
      assert.deepEqual(invpcid(new Bench("long"), 1n, 1n), gp0, "PCID without CR4.PCIDE");
      assert.deepEqual(invpcid(new Bench("long"), 0n, 0n, 1n << 56n), gp0);
      assert.equal(invpcid(new Bench("long"), 0n, 0n, 1n << 55n), undefined, "LA57 is offered");
      assert.equal(invpcid(new Bench("long"), 1n, 0n, 1n << 56n), undefined);
      assert.deepEqual(invpcid(new Bench("long", { cpl: 3 }), 2n, 0n), gp0);
      const bench = new Bench("long");
      bench.model = { ...bench.model, features: new Set() };
      assert.deepEqual(invpcid(bench, 2n, 0n), ud);
    });

    it("WRPKRU needs CR4.PKE and zeros in ECX and EDX, and flushes cached rights", () => {
      const bench = new Bench("long");
      assert.deepEqual(bench.execute("0f 01 ef"), ud);
      bench.state.cr4 |= CR4.PKE;
      bench.state.setGpr(GPR.rax, 0x55n);
      bench.state.setGpr(GPR.rdx, 0n);
      assert.equal(bench.execute("0f 01 ef"), undefined);
      assert.deepEqual([bench.state.u64(S.pkru), bench.heard.flushes], [0x55n, ["all"]]);
      assert.deepEqual(bench.heard.control, ["pkru"]);
      bench.state.setGpr(GPR.rdx, 1n);
      assert.deepEqual(bench.execute("0f 01 ef"), gp0);
    });
  });

  describe("ports", () => {
    const bitmap = (bench: Bench, ...denied: number[]): void => {
      bench.mem.poke(AT.tss + 0x66, 2, 0x68n);
      for (const port of denied)
        bench.mem.poke(AT.tss + 0x68 + (port >> 3), 1, BigInt(1 << (port & 7)));
    };

    it("level 0 asks nobody; level 3 asks the bitmap for every byte of the access", () => {
      const kernel = new Bench("long");
      kernel.state.setGpr(GPR.rax, 0x11223344n);
      assert.equal(kernel.execute("e7 f4"), undefined);
      assert.deepEqual(kernel.heard.out, ["f4/4=11223344"]);
      const user = new Bench("long", { cpl: 3 });
      bitmap(user, 0x3fb);
      assert.equal(user.execute("e6 f4"), undefined);
      user.state.setGpr(GPR.rdx, 0x3f8n);
      assert.equal(user.execute("66 ef"), undefined);
      assert.deepEqual(user.execute("ef"), gp0);
    });

    it("a bitmap beyond the TSS's limit denies", () => {
      const bench = new Bench("long", { cpl: 3 });
      bench.mem.poke(AT.tss + 0x66, 2, 0xfffen);
      assert.deepEqual(bench.execute("e4 60"), gp0);
      bench.iopl = 3;
      assert.equal(bench.execute("e4 60"), undefined);
    });

    it("IN EAX clears the upper half of RAX, IN AL keeps it", () => {
      const bench = new Bench("long");
      bench.portValue = 0x1ff;
      bench.state.setGpr(GPR.rax, ~0n & 0xffffffffffffffffn);
      bench.execute("e4 60");
      assert.equal(bench.state.gpr(GPR.rax), 0xffffffffffffffffn);
      bench.execute("e5 60");
      assert.equal(bench.state.gpr(GPR.rax), 0x1ffn);
    });

    it("REP INSB stores one element a step and returns to itself until RCX is 0", () => {
      const bench = new Bench("long");
      bench.portValue = 0x42;
      bench.state.setGpr(GPR.rcx, 2n);
      bench.state.setGpr(GPR.rdi, 0x9000n);
      assert.deepEqual(bench.execute("f3 6c"), { kind: "jumped" });
      assert.equal(bench.state.rip, bench.rip);
      assert.equal(bench.execute("f3 6c"), undefined);
      assert.deepEqual([bench.state.gpr(GPR.rcx), bench.state.gpr(GPR.rdi)], [0n, 0x9002n]);
      assert.equal(bench.mem.peek(0x9000, 2), 0x4242n);
      assert.equal(bench.execute("f3 6c"), undefined);
    });

    it("INS reads the port only when the store can succeed", () => {
      const bench = new Bench("long");
      Object.defineProperty(bench, "portValue", {
        get() {
          throw new Error("read");
        },
      });
      bench.state.setGpr(GPR.rdi, 0x200000n);
      assert.equal(bench.execute("6d")?.kind, "fault");
    });

    it("OUTS honours a segment override and the direction flag", () => {
      const bench = new Bench("protected");
      bench.state.setSegment(SEG.fs, { ...bench.state.segment(SEG.fs), base: 0x9000n });
      bench.mem.poke(0x9010, 2, 0xbeefn);
      bench.state.setGpr(GPR.rsi, 0x10n);
      bench.state.setGpr(GPR.rdx, 0x80n);
      bench.state.rflags = 2n | FLAG.DF;
      assert.equal(bench.execute("64 66 6f"), undefined);
      assert.deepEqual(bench.heard.out, ["80/2=beef"]);
      assert.equal(bench.state.gpr(GPR.rsi), 0xen);
    });
  });

  describe("CPUID", () => {
    const ask = (bench: Bench, leaf: number, subleaf = 0): number[] => {
      bench.state.setGpr(GPR.rax, BigInt(leaf));
      bench.state.setGpr(GPR.rcx, BigInt(subleaf));
      bench.execute("0f a2");
      return [GPR.rax, GPR.rbx, GPR.rcx, GPR.rdx].map((each) => Number(bench.state.gpr(each)));
    };

    it("names the vendor", () => {
      const text = (vendor: "intel" | "amd"): string => {
        const [, b, c, d] = ask(new Bench("long", { vendor }), 0);
        return [b!, d!, c!]
          .flatMap((word) => [0, 8, 16, 24].map((by) => String.fromCharCode((word >> by) & 0xff)))
          .join("");
      };
      assert.equal(text("intel"), "GenuineIntel");
      assert.equal(text("amd"), "AuthenticAMD");
    });

    it("offers by default nothing whose instructions are missing", () => {
      const bench = new Bench("long");
      bench.model = defaultModel();
      const [, , ecx, edx] = ask(bench, 1);
      assert.equal(edx! & ((1 << 23) | (1 << 25) | (1 << 26)), 0, "MMX, SSE, SSE2");
      assert.equal(edx! & 2, 0, "VME");
      assert.equal(ecx! & ((1 << 26) | (1 << 27) | (1 << 30)), 0, "XSAVE, OSXSAVE, RDRAND");
      assert.equal(ask(bench, 0x80000001)[2]! & 4, 0, "SVM");
    });

    it("mirrors CR4.PKE, widths and the hypervisor's leaves", () => {
      const bench = new Bench("long");
      assert.equal(ask(bench, 7)[2]! & 0x18, 0x08);
      bench.state.cr4 |= CR4.PKE;
      assert.equal(ask(bench, 7)[2]! & 0x18, 0x18);
      assert.equal(ask(bench, 0x80000008)[0], 40 | (57 << 8));
      assert.deepEqual(ask(bench, 0x40000000), [0x40000000, 1, 2, 3]);
    });

    it("answers beyond the last leaf as for the last basic one on Intel, zeros on AMD", () => {
      const intel = new Bench("long");
      assert.deepEqual(ask(intel, 0x1000), ask(intel, 0x16));
      assert.deepEqual(ask(new Bench("long", { vendor: "amd" }), 0x1000), [0, 0, 0, 0]);
    });

    it("every feature has a bit, or decides something else", () => {
      const silent = FEATURES.filter((feature) => {
        const bench = new Bench("long");
        const before = JSON.stringify([1, 7, 0x80000001].map((leaf) => ask(bench, leaf)));
        const features = new Set(bench.model.features);
        features.delete(feature);
        bench.model = { ...bench.model, features };
        return before === JSON.stringify([1, 7, 0x80000001].map((leaf) => ask(bench, leaf)));
      });
      assert.deepEqual(silent, []);
    });
  });

  describe("reset", () => {
    it("starts in real mode at FFFFFFF0h", () => {
      const { state } = new Bench("long");
      resetState(state, "power-on", defaultModel());
      assert.deepEqual(
        [state.rip, state.rflags, state.cr0, state.cr4, state.efer],
        [0xfff0n, 2n, 0x60000010n, 0n, 0n],
      );
      assert.deepEqual(
        [state.segment(SEG.cs).selector, state.segment(SEG.cs).base],
        [0xf000, 0xffff0000n],
      );
      assert.deepEqual([state.u64(S.dr + 48), state.u64(S.dr + 56)], [0xffff0ff0n, 0x400n]);
    });

    it("INIT keeps MSRs, the TSC, the MTRRs and the cache bits of CR0", () => {
      const { state } = new Bench("long");
      state.setU64(S.lstar, 5n);
      state.setU64(S.tscOffset, 7n);
      state.setU64(S.mtrr, 6n);
      state.cr0 = CR0.PE | CR0.PG;
      resetState(state, "init", defaultModel());
      assert.deepEqual(
        [state.u64(S.lstar), state.u64(S.tscOffset), state.u64(S.mtrr)],
        [5n, 7n, 6n],
      );
      assert.equal(state.cr0, CR0.ET);
    });

    it("a start-up vector V begins at V000h", () => {
      const { state } = new Bench("real");
      resetState(state, "init", defaultModel());
      startup(state, 0x9a);
      const { selector, base } = state.segment(SEG.cs);
      assert.deepEqual([selector, base, state.rip], [0x9a00, 0x9a000n, 0n]);
    });
  });

  describe("x87 and SSE state", () => {
    it("FXSAVE and FXRSTOR carry the state, TS and misalignment refuse", () => {
      const bench = new Bench("long");
      bench.state.cr4 |= CR4.OSFXSR;
      bench.execute("db e3");
      bench.state.setU64(S.xmm + 8, 0x1122334455667788n);
      bench.state.setU64(S.x87 + 16, 0x8000000000000000n);
      assert.equal(bench.execute("0f ae 04 25 00 90 00 00"), undefined);
      assert.equal(bench.mem.peek(0x9000, 2), 0x37fn);
      assert.equal(bench.mem.peek(0x9018, 4), 0x1f80n);
      assert.equal(bench.mem.peek(0x90a8, 8), 0x1122334455667788n);
      bench.state.setU64(S.xmm + 8, 0n);
      bench.state.setU64(S.x87 + 16, 0n);
      assert.equal(bench.execute("0f ae 0c 25 00 90 00 00"), undefined);
      assert.equal(bench.state.u64(S.xmm + 8), 0x1122334455667788n);
      assert.equal(bench.state.u64(S.x87 + 16), 0x8000000000000000n);
      assert.deepEqual(bench.execute("0f ae 04 25 08 90 00 00"), gp0);
      bench.state.cr0 |= CR0.TS;
      assert.deepEqual(bench.execute("0f ae 04 25 00 90 00 00"), {
        kind: "fault",
        fault: { vector: 7 },
      });
    });

    it("FXRSTOR refuses reserved bits of MXCSR", () => {
      const bench = new Bench("long");
      bench.mem.poke(0x9018, 4, 0x10000n);
      assert.deepEqual(bench.execute("0f ae 0c 25 00 90 00 00"), gp0);
    });
  });
});
