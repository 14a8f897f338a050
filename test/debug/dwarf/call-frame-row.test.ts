import assert from "node:assert/strict";
import { rowAt } from "../../../src/debug/dwarf/call-frame-row";
import type { FrameDescription } from "../../../src/debug/dwarf/call-frames";

/** A description of 0x1000…0x10ff whose common part says "cfa is rsp + 8, return address below it". */
const frame = (...instructions: number[]): FrameDescription => ({
  low: 0x1000n,
  high: 0x1100n,
  common: {
    codeAlign: 1n,
    dataAlign: -8n,
    returnRegister: 16,
    signal: false,
    addressSize: 8,
    pointerEncoding: 0,
    augmented: false,
    instructions: Uint8Array.of(0x0c, 7, 8, 0x90, 1),
  },
  instructions: Uint8Array.from(instructions),
});

/** DW_CFA_advance_loc. */
const advance = (bytes: number): number => 0x40 | bytes;

describe("call frame rows", () => {
  it("begin with what the common part says", () => {
    assert.deepEqual(rowAt(frame(), 0x1000n), {
      cfa: { kind: "register", register: 7, offset: 8n },
      registers: new Map([[16, { kind: "at offset", offset: -8n }]]),
    });
  });

  it("change at the address that is advanced to, not before", () => {
    const push = frame(advance(1), 0x0e, 16, 0x86, 2, advance(3), 0x0d, 6);
    assert.deepEqual(rowAt(push, 0x1000n)?.cfa, { kind: "register", register: 7, offset: 8n });
    assert.deepEqual(rowAt(push, 0x1001n)?.cfa, { kind: "register", register: 7, offset: 16n });
    assert.deepEqual(rowAt(push, 0x1003n)?.registers.get(6), { kind: "at offset", offset: -16n });
    assert.deepEqual(rowAt(push, 0x1004n)?.cfa, { kind: "register", register: 6, offset: 16n });
  });

  it("are remembered and restored, and registers go back to the common part", () => {
    const epilogue = frame(0x83, 2, 0x0a, advance(4), 0x0e, 8, 0xc3, advance(1), 0x0b);
    assert.equal(rowAt(epilogue, 0x1004n)?.registers.has(3), false);
    assert.deepEqual(rowAt(epilogue, 0x1005n)?.registers.get(3), {
      kind: "at offset",
      offset: -16n,
    });
    assert.deepEqual(rowAt(epilogue, 0x1005n)?.cfa, { kind: "register", register: 7, offset: 8n });
  });

  it("may give the CFA by an expression", () => {
    const row = rowAt(frame(0x0f, 2, 0x77, 0x10), 0x1000n);
    assert.deepEqual(row?.cfa, { kind: "expression", expression: Uint8Array.of(0x77, 0x10) });
  });

  it("do not exist where the instructions make no sense", () => {
    assert.equal(rowAt(frame(0x3f), 0x1000n), undefined);
    assert.equal(rowAt(frame(0x0e), 0x1000n), undefined);
  });
});
