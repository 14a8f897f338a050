import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { replay } from "./oracle/compare";
import { Replayer } from "./oracle/replay";
import { unpackVectors } from "./oracle/vector-file";

/** Differences shown in full; the rest are counted. */
const SHOWN = 5;

describe("instructions against a real processor", () => {
  for (const mode of [64, 32] as const) {
    it(`agrees on registers, flags, memory and faults in ${mode}-bit mode`, function () {
      this.timeout(300_000);
      const set = unpackVectors(readFileSync(`test/x86/cpu/vectors/integer-${mode}.bin.gz`));
      assert.equal(set.mode, mode);
      assert.ok(set.vectors.length > 10_000);
      const { wrong } = replay(set, new Replayer(mode, set.files, set.memory));
      const texts = [...wrong.values()].slice(0, SHOWN).map(({ text }) => text);
      assert.equal(
        wrong.size,
        0,
        `${wrong.size} forms differ from ${set.processor}\n${texts.join("\n")}`,
      );
    });
  }
});
