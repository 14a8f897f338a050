import assert from "node:assert/strict";
import { decode } from "../../../src/x86/cpu/decode";
import { keyOf } from "../../../src/x86/cpu/key";
import { needsModrm, ROWS } from "../../../src/x86/cpu/opcode-rows";
import { buildTier1 } from "../../../src/x86/cpu/tier1";
import { HOT_HANDLERS } from "../../../src/x86/cpu/tier1-hot";

const OPCODE_BYTES = { "1": [], "0f": [0x0f], "0f38": [0x0f, 0x38] } as const;
const REX = [0x48, 0x41, 0x40];
const PREFIXES = [[], [0x66], [0x67], [0x66, 0x67], [0x64], [0xf2], [0xf3], [0x2e], [0xf0]];

/** Every row with every prefix worth trying, every modrm.mod, and both flat and segmented code. */
function* instructions(): Generator<{ bytes: number[]; bits: 16 | 32 | 64 }> {
  for (const row of ROWS) {
    const modrm = needsModrm(row) ? [0x00, 0x04, 0x44, 0x86, 0xc1] : [undefined];
    for (const bits of [16, 32, 64] as const)
      for (const prefix of PREFIXES)
        for (const rex of bits === 64 ? [[], ...REX.map((byte) => [byte])] : [[]])
          for (const byte of modrm) {
            const mandatory = row.prefix ? [row.prefix] : [];
            const digit = Math.max(row.digit, 0) << 3;
            const last = row.modrm >= 0 ? [row.modrm] : byte === undefined ? [] : [byte | digit];
            const opcode = [...OPCODE_BYTES[row.map], row.opcode];
            yield { bytes: [...prefix, ...mandatory, ...rex, ...opcode, ...last], bits };
          }
  }
}

describe("handlers of generated code", () => {
  const { handlers } = buildTier1();

  it("there is one for whatever the decoder lets through", () => {
    const missing = new Set<string>();
    let seen = 0;
    for (const { bytes, bits } of instructions()) {
      const insn = decode({ byte: (n) => bytes[n] ?? 0x24 }, 0x1000n, bits);
      assert.ok(insn);
      if (insn.kind !== "code") continue;
      for (const flat of bits === 64 ? [true] : [true, false]) {
        seen++;
        const { text } = keyOf(insn, flat);
        if (!handlers.has(text))
          missing.add(`${text} (${Buffer.from(bytes).toString("hex")} ${bits})`);
      }
    }
    assert.ok(seen > 50_000);
    assert.deepEqual([...missing], []);
  });

  it("each hot one exists", () => {
    assert.deepEqual(
      HOT_HANDLERS.filter((text) => !handlers.has(text)),
      [],
    );
    assert.equal(new Set(HOT_HANDLERS).size, HOT_HANDLERS.length);
    assert.ok(HOT_HANDLERS.length <= 160);
  });
});
