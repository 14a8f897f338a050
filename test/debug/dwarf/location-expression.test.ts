import assert from "node:assert/strict";
import {
  evaluateLocation,
  type FrameContext,
  type Location,
} from "../../../src/debug/dwarf/location-expression";

const frame: FrameContext = {
  pc: 0x400010n,
  base: 0x10000n,
  register: (number) => (number < 17 ? BigInt(number) * 0x100n : undefined),
  read: (address, size) => {
    const bytes = new Uint8Array(size);
    bytes[0] = Number(address & 0xffn);
    return address < 0x100000n ? bytes : undefined;
  },
  cfa: () => 0x7000n,
  frameBase: () => 0x6000n,
  entryValue: (register) => (register === 5 ? 0x55n : undefined),
};

const memory = (address: bigint): Location => ({ kind: "memory", address });
const value = (number: bigint): Location => ({ kind: "value", value: number });

describe("DWARF expressions", () => {
  const cases: readonly (readonly [string, readonly number[], Location])[] = [
    ["DW_OP_fbreg -16", [0x91, 0x70], memory(0x5ff0n)],
    ["DW_OP_call_frame_cfa", [0x9c], memory(0x7000n)],
    ["DW_OP_breg7 8", [0x77, 8], memory(0x708n)],
    ["DW_OP_addr, moved with the image", [0x03, 0, 0x20, 0x40, 0, 0, 0, 0, 0], memory(0x412000n)],
    ["DW_OP_reg3", [0x53], { kind: "register", register: 3 }],
    ["DW_OP_lit5 stack_value", [0x35, 0x9f], value(5n)],
    ["DW_OP_const1s -1 stack_value", [0x09, 0xff, 0x9f], value((1n << 64n) - 1n)],
    ["lit8 lit3 minus stack_value", [0x38, 0x33, 0x1c, 0x9f], value(5n)],
    ["breg5 0 deref", [0x75, 0, 0x06], memory(0n)],
    [
      "breg6 1 deref_size 1 plus_uconst 2 stack_value",
      [0x76, 1, 0x94, 1, 0x23, 2, 0x9f],
      value(3n),
    ],
    ["DW_OP_entry_value(reg5) stack_value", [0xa3, 1, 0x55, 0x9f], value(0x55n)],
    ["DW_OP_entry_value(reg4)", [0xa3, 1, 0x54, 0x9f], { kind: "gone", why: "optimised out here" }],
    ["nothing", [], { kind: "gone", why: "optimised out here" }],
    [
      "a register split by pieces",
      [0x53, 0x93, 4],
      { kind: "gone", why: "split over several places" },
    ],
    [
      "a register the frame does not have",
      [0x8f, 0],
      { kind: "gone", why: "its place needs a register this frame does not have" },
    ],
    [
      "an operation that is not known",
      [0xe9],
      { kind: "gone", why: "its place uses DW_OP 0xe9, which is not read" },
    ],
  ];
  for (const [name, bytes, expected] of cases)
    it(name, () => {
      assert.deepEqual(evaluateLocation(Uint8Array.from(bytes), undefined, frame), expected);
    });
});
