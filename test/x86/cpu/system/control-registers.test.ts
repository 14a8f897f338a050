import assert from "node:assert/strict";
import { CR0, CR4, EFER, GPR, SEG } from "../../../../src/x86/cpu/layout";
import { Bench, fault, gp0, SEL, ud } from "./bench";

/** MOV CRn, RAX */
const write = (bench: Bench, n: number, value: bigint): unknown => {
  bench.state.setGpr(GPR.rax, value);
  const modrm = (0xc0 | ((n & 7) << 3)).toString(16);
  return bench.execute(`${n > 7 ? "44 " : ""}0f 22 ${modrm}`);
};
const wrmsr = (bench: Bench, index: number, value: bigint): unknown => {
  bench.state.setGpr(GPR.rcx, BigInt(index));
  bench.state.setGpr(GPR.rax, value & 0xffffffffn);
  bench.state.setGpr(GPR.rdx, value >> 32n);
  return bench.execute("0f 30");
};
const EFER_MSR = 0xc0000080;
const LONG_CR0 = CR0.PE | CR0.PG | CR0.ET;

describe("control registers", () => {
  it("level 3 may neither read nor write them", () => {
    const bench = new Bench("long", { cpl: 3 });
    assert.deepEqual(write(bench, 0, LONG_CR0), gp0);
    assert.deepEqual(bench.execute("0f 20 d8"), gp0);
    assert.deepEqual(bench.execute("0f 06"), gp0);
  });

  describe("CR0", () => {
    const cases: readonly (readonly [string, bigint, unknown])[] = [
      ["a bit above 31 is #GP(0)", LONG_CR0 | (1n << 32n), gp0],
      ["PG without PE is #GP(0)", CR0.PG | CR0.ET, gp0],
      ["NW without CD is #GP(0)", LONG_CR0 | CR0.NW, gp0],
      ["NW with CD is allowed", LONG_CR0 | CR0.NW | CR0.CD, undefined],
      ["clearing PG in 64-bit code is #GP(0)", CR0.PE | CR0.ET, gp0],
      ["WP may be set", LONG_CR0 | CR0.WP, undefined],
    ];
    for (const [title, value, expected] of cases) {
      it(title, () => {
        const bench = new Bench("long");
        assert.deepEqual(write(bench, 0, value), expected);
        assert.equal(bench.state.cr0, expected === undefined ? value : LONG_CR0);
      });
    }

    it("unknown low bits are ignored and ET stays 1", () => {
      const bench = new Bench("long");
      assert.equal(write(bench, 0, (LONG_CR0 | 0x40n) & ~CR0.ET), undefined);
      assert.equal(bench.state.cr0, LONG_CR0);
    });

    it("setting PG with EFER.LME enters long mode, clearing it leaves", () => {
      const bench = new Bench("protected");
      bench.state.cr4 = CR4.PAE;
      bench.state.efer = EFER.LME;
      assert.equal(write(bench, 0, LONG_CR0), undefined);
      assert.ok(bench.state.longMode);
      assert.deepEqual(bench.heard.flushes, ["all"]);
      assert.equal(write(bench, 0, CR0.PE), undefined);
      assert.ok(!bench.state.longMode);
    });

    it("long mode needs PAE, no 64-bit code segment and no 16-bit TSS", () => {
      const arrange: ((bench: Bench) => void)[] = [
        (bench) => {
          bench.state.cr4 = 0n;
        },
        (bench) => bench.load(SEG.cs, SEL.code64),
        (bench) => {
          bench.state.setSegment(SEG.tr, { ...bench.state.segment(SEG.tr), attr: 0x83 });
        },
      ];
      for (const spoil of arrange) {
        const bench = new Bench("protected");
        bench.state.cr4 = CR4.PAE;
        bench.state.efer = EFER.LME;
        spoil(bench);
        assert.deepEqual(write(bench, 0, LONG_CR0), gp0);
      }
    });

    it("PG cannot be cleared while CR4.PCIDE is set", () => {
      const bench = new Bench("compatibility");
      bench.state.cr4 |= CR4.PCIDE;
      assert.deepEqual(write(bench, 0, CR0.PE), gp0);
    });

    it("what the board refuses is undone, LMA included", () => {
      const bench = new Bench("protected");
      bench.state.cr4 = CR4.PAE;
      bench.state.efer = EFER.LME;
      bench.boardFault = { vector: 13, error: 0 };
      assert.deepEqual(write(bench, 0, LONG_CR0), gp0);
      assert.equal(bench.state.cr0, CR0.PE | CR0.ET);
      assert.ok(!bench.state.longMode);
    });

    it("the board may stop before the write", () => {
      const bench = new Bench("long");
      bench.stopBefore = true;
      assert.deepEqual(write(bench, 0, LONG_CR0 | CR0.WP), { kind: "stop" });
      assert.equal(bench.state.cr0, LONG_CR0);
    });
  });

  it("F-185 LMSW sets PE but never clears it, and touches four bits only", () => {
    const bench = new Bench("protected");
    bench.state.setGpr(GPR.rax, 0xfff0n | 0xen);
    assert.equal(bench.execute("0f 01 f0"), undefined);
    assert.equal(bench.state.cr0, CR0.PE | CR0.MP | CR0.EM | CR0.TS | CR0.ET);
    const real = new Bench("real");
    real.state.setGpr(GPR.rax, 1n);
    real.execute("0f 01 f0");
    assert.ok(real.state.cr0 & CR0.PE);
  });

  it("CLTS clears TS", () => {
    const bench = new Bench("long");
    bench.state.cr0 |= CR0.TS;
    assert.equal(bench.execute("0f 06"), undefined);
    assert.equal(bench.state.cr0, LONG_CR0);
  });

  it("SMSW shows CR0, to level 3 only without UMIP", () => {
    const bench = new Bench("long", { cpl: 3 });
    assert.equal(bench.execute("48 0f 01 e0"), undefined);
    assert.equal(bench.state.gpr(GPR.rax), LONG_CR0);
    bench.state.cr4 |= CR4.UMIP;
    assert.deepEqual(bench.execute("48 0f 01 e0"), gp0);
  });

  describe("CR3", () => {
    it("bits from the physical width up are #GP(0) in long mode, bit 63 too without PCIDE", () => {
      const bench = new Bench("long");
      assert.deepEqual(write(bench, 3, 1n << 40n), gp0);
      assert.deepEqual(write(bench, 3, 1n << 63n), gp0);
      assert.equal(write(bench, 3, (1n << 39n) | 0xfffn), undefined);
    });

    it("flushes all but global translations, also when the value is the same", () => {
      const bench = new Bench("long");
      write(bench, 3, bench.state.cr3);
      assert.deepEqual(bench.heard.flushes, ["not global"]);
      assert.deepEqual(bench.heard.control, ["cr3 0→0"]);
    });

    it("F-121 bit 63 under PCIDE keeps the same PCID's translations and is not stored", () => {
      const bench = new Bench("long");
      bench.state.cr4 |= CR4.PCIDE;
      bench.state.cr3 = 0x1001n;
      assert.equal(write(bench, 3, (1n << 63n) | 0x2001n), undefined);
      assert.equal(bench.state.cr3, 0x2001n);
      assert.deepEqual(bench.heard.flushes, []);
      write(bench, 3, (1n << 63n) | 0x2002n);
      assert.deepEqual(bench.heard.flushes, ["not global"]);
      assert.deepEqual(bench.heard.control, ["cr3 keep 1001→2001", "cr3 keep 2001→2002"]);
    });

    it("PDPTEs that the board refuses leave CR3 as it was", () => {
      const bench = new Bench("protected");
      bench.boardFault = { vector: 13, error: 0 };
      assert.deepEqual(write(bench, 3, 0x5000n), gp0);
      assert.equal(bench.state.cr3, 0n);
    });
  });

  describe("CR4", () => {
    it("a bit of a feature that is not there is #GP(0)", () => {
      for (const bit of [
        CR4.VME,
        CR4.PVI,
        CR4.VMXE,
        CR4.SMXE,
        CR4.OSXSAVE,
        1n << 15n,
        1n << 23n,
        1n << 32n,
      ]) {
        assert.deepEqual(write(new Bench("long"), 4, CR4.PAE | bit), gp0, bit.toString(16));
      }
      const bench = new Bench("long");
      bench.model = { ...bench.model, features: new Set(["pae"]) };
      assert.deepEqual(write(bench, 4, CR4.PAE | CR4.SMEP), gp0);
      assert.equal(write(new Bench("long"), 4, CR4.PAE | CR4.SMEP), undefined);
    });

    it("PAE and LA57 are fixed in long mode", () => {
      assert.deepEqual(write(new Bench("long"), 4, 0n), gp0);
      assert.deepEqual(write(new Bench("long"), 4, CR4.PAE | CR4.LA57), gp0);
      assert.equal(write(new Bench("protected"), 4, CR4.PAE | CR4.LA57), undefined);
    });

    it("PCIDE needs long mode and PCID 0", () => {
      assert.deepEqual(write(new Bench("protected"), 4, CR4.PCIDE), gp0);
      const bench = new Bench("long");
      bench.state.cr3 = 0x1001n;
      assert.deepEqual(write(bench, 4, CR4.PAE | CR4.PCIDE), gp0);
      bench.state.cr3 = 0x1000n;
      assert.equal(write(bench, 4, CR4.PAE | CR4.PCIDE), undefined);
      bench.state.cr3 = 0x1001n;
      assert.equal(write(bench, 4, CR4.PAE | CR4.PCIDE | CR4.PGE), undefined);
    });

    it("flushes everything when a paging bit changes, nothing for the others", () => {
      for (const [bit, flushes] of [
        [CR4.PGE, ["all"]],
        [CR4.SMEP, ["all"]],
        [CR4.SMAP, ["all"]],
        [CR4.TSD, []],
        [CR4.UMIP, []],
      ] as const) {
        const bench = new Bench("long");
        write(bench, 4, CR4.PAE | bit);
        assert.deepEqual(bench.heard.flushes, flushes);
      }
    });
  });

  it("CR8 is the board's task priority; bits above 3 are #GP(0)", () => {
    const bench = new Bench("long");
    assert.equal(bench.execute("44 0f 20 c0"), undefined);
    assert.equal(bench.state.gpr(GPR.rax), 7n);
    assert.deepEqual(write(bench, 8, 16n), gp0);
    assert.equal(write(bench, 8, 15n), undefined);
  });

  describe("EFER", () => {
    it("F-186 LME cannot change while paging is on", () => {
      assert.deepEqual(wrmsr(new Bench("long"), EFER_MSR, EFER.SCE), gp0);
      const bench = new Bench("protected");
      assert.equal(wrmsr(bench, EFER_MSR, EFER.LME), undefined);
      assert.equal(bench.state.efer, EFER.LME);
    });

    it("LMA cannot be written, either way", () => {
      const bench = new Bench("long");
      assert.equal(wrmsr(bench, EFER_MSR, EFER.LME | EFER.NX), undefined);
      assert.equal(bench.state.efer, EFER.LME | EFER.LMA | EFER.NX);
      const off = new Bench("protected");
      wrmsr(off, EFER_MSR, EFER.LMA);
      assert.equal(off.state.efer, 0n);
    });

    it("bits of absent features are #GP(0)", () => {
      for (const bit of [1n << 1n, 1n << 12n, 1n << 63n])
        assert.deepEqual(wrmsr(new Bench("protected"), EFER_MSR, bit), gp0);
      const bench = new Bench("protected");
      bench.model = { ...bench.model, features: new Set(["lm"]) };
      assert.deepEqual(wrmsr(bench, EFER_MSR, EFER.NX), gp0);
    });

    it("NX flushes", () => {
      const bench = new Bench("long");
      wrmsr(bench, EFER_MSR, EFER.LME | EFER.SCE | EFER.NX);
      assert.deepEqual(bench.heard.flushes, ["all"]);
    });
  });

  describe("debug registers", () => {
    it("DR4 and DR5 are DR6 and DR7 until CR4.DE makes them #UD", () => {
      const bench = new Bench("long");
      bench.state.setGpr(GPR.rax, 0x101n);
      assert.equal(bench.execute("0f 23 e8"), undefined);
      assert.equal(bench.execute("0f 21 f8"), undefined);
      assert.equal(bench.state.gpr(GPR.rax), 0x501n);
      bench.state.cr4 |= CR4.DE;
      assert.deepEqual(bench.execute("0f 21 e8"), ud);
    });

    it("fixed bits of DR6 and DR7 stay, upper halves are #GP(0)", () => {
      const bench = new Bench("long");
      bench.state.setGpr(GPR.rax, 0xffffffffn);
      bench.execute("0f 23 f0");
      bench.execute("0f 21 f0");
      assert.equal(bench.state.gpr(GPR.rax), 0xffffefffn);
      bench.state.setGpr(GPR.rax, 1n << 32n);
      assert.deepEqual(bench.execute("0f 23 f0"), gp0);
      assert.deepEqual(bench.execute("0f 23 f8"), gp0);
      assert.equal(bench.execute("0f 23 c0"), undefined);
    });

    it("general detect turns any access into #DB with BD", () => {
      const bench = new Bench("long");
      bench.state.setGpr(GPR.rax, 0x2000n);
      bench.execute("0f 23 f8");
      const expected = { kind: "fault", fault: { vector: 1, dr6: 1 << 13 } };
      assert.deepEqual(bench.execute("0f 21 c0"), expected);
      const user = new Bench("long", { cpl: 3 });
      assert.deepEqual(user.execute("0f 21 c0"), fault(13, 0));
    });
  });
});
