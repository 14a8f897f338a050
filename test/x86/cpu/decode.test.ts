import assert from "node:assert/strict";
import { decode } from "../../../src/x86/cpu/decode";
import type { Insn } from "../../../src/x86/cpu/insn";
import { SEG } from "../../../src/x86/cpu/layout";

function decoded(hex: string, bits: 16 | 32 | 64 = 64): Insn {
  const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
  const insn = decode({ byte: (n) => bytes[n] ?? -1 }, 0x1000n, bits);
  assert.ok(insn, `${hex} asks for bytes behind its end`);
  return insn;
}

describe("decoder", () => {
  it("knows lengths, sizes and names", () => {
    const cases: readonly [string, 16 | 32 | 64, string, number, number][] = [
      ["48 01 d8", 64, "add", 3, 8],
      ["66 01 d8", 64, "add", 3, 2],
      ["01 d8", 16, "add", 2, 2],
      ["66 01 d8", 16, "add", 3, 4],
      ["48 b8 88 77 66 55 44 33 22 11", 64, "mov", 10, 8],
      ["c7 84 24 00 01 00 00 78 56 34 12", 64, "mov", 11, 4],
      ["50", 64, "push", 1, 8],
      ["66 50", 64, "push", 2, 2],
      ["e8 00 00 00 00", 64, "call", 5, 8],
      ["0f b6 c0", 64, "movzx", 3, 4],
      ["f3 48 0f b8 c1", 64, "popcnt", 5, 8],
      ["f3 0f 1e fa", 64, "nop", 4, 4],
      ["0f 1f 84 00 00 00 00 00", 64, "nop", 8, 4],
      ["a1 34 12", 16, "mov", 3, 2],
      ["67 a1 78 56 34 12", 64, "mov", 6, 4],
      ["c8 10 00 02", 64, "enter", 4, 8],
    ];
    for (const [hex, bits, name, length, size] of cases) {
      const insn = decoded(hex, bits);
      assert.deepEqual([hex, insn.name, insn.length, insn.operandSize], [hex, name, length, size]);
    }
  });

  it("takes REX only from the last byte before the opcode", () => {
    assert.equal(decoded("48 66 01 d8").operandSize, 2);
    assert.equal(decoded("66 48 01 d8").operandSize, 8);
  });

  it("lets only FS and GS override in 64-bit mode", () => {
    const segment = (hex: string, bits: 32 | 64): number => {
      const operand = decoded(hex, bits).operands[1];
      return operand?.kind === "mem" ? operand.segment : -1;
    };
    assert.equal(segment("26 8b 00", 64), SEG.ds);
    assert.equal(segment("64 26 8b 00", 64), SEG.fs);
    assert.equal(segment("26 8b 00", 32), SEG.es);
    assert.equal(segment("8b 45 00", 32), SEG.ss);
    assert.equal(segment("3e 8b 45 00", 32), SEG.ds);
  });

  it("resolves RIP-relative operands against the next instruction", () => {
    const operand = decoded("c7 05 10 00 00 00 01 00 00 00").operands[0];
    assert.ok(operand?.kind === "mem");
    assert.equal(operand.disp, 0x101an);
    assert.equal(operand.base, -1);
  });

  it("knows AH from SPL by the presence of REX", () => {
    const slot = (hex: string): number => {
      const operand = decoded(hex).operands[0];
      return operand?.kind === "reg" ? operand.slot : -1;
    };
    assert.equal(slot("88 c4"), 1);
    assert.equal(slot("40 88 c4"), 32);
  });

  it("wraps branch targets to the operand size", () => {
    const target = (hex: string, bits: 16 | 32 | 64): bigint => {
      const operand = decoded(hex, bits).operands[0];
      return operand?.kind === "rel" ? operand.target : -1n;
    };
    assert.equal(target("e9 00 f0 ff ff", 64), 0x5n);
    assert.equal(target("e9 00 e0 ff ff", 64), 0xffff_ffff_ffff_f005n);
    assert.equal(target("e9 00 e0", 16), 0xf003n);
    assert.equal(target("66 e9 00 e0", 32), 0xf004n);
  });

  it("refuses LOCK where it may not stand", () => {
    assert.equal(decoded("f0 01 03").kind, "code");
    assert.equal(decoded("f0 01 c3").kind, "undefined");
    assert.equal(decoded("f0 39 03").kind, "undefined");
    assert.equal(decoded("f0 8b 03").kind, "undefined");
  });

  it("tells undefined from not implemented", () => {
    assert.equal(decoded("0f 04").kind, "undefined");
    assert.equal(decoded("27").kind, "undefined");
    assert.equal(decoded("27", 32).kind, "code");
    assert.equal(decoded("0f 58 c1").kind, "unimplemented");
    assert.equal(decoded("d8 c1").kind, "unimplemented");
    assert.equal(decoded("c5 f8 77").kind, "undefined");
    assert.equal(decoded("0f 20 d8").kind, "sysop");
    assert.equal(decoded("0f 20 e8").kind, "undefined");
  });

  it("calls more than 15 bytes too long", () => {
    assert.equal(decoded(`${"66".repeat(14)} 90`).kind, "code");
    assert.equal(decoded(`${"66".repeat(15)} 90`).kind, "too-long");
  });

  it("does not ask for a byte it does not need", () => {
    const asked: number[] = [];
    const bytes = [0x90, 0x90];
    const byte = (n: number): number => {
      asked.push(n);
      return bytes[n] ?? -1;
    };
    decode({ byte }, 0n, 64);
    assert.deepEqual(asked, [0]);
  });
});
