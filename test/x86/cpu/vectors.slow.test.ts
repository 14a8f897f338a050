import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { replay } from "./oracle/compare";
import { PACES, Replayer } from "./oracle/replay";
import { unpackVectors } from "./oracle/vector-file";

/** Differences shown in full; the rest are counted. */
const SHOWN = 5;

describe("instructions against a real processor", () => {
  for (const mode of [64, 32] as const) {
    for (const { name, budget } of PACES) {
      it(`agrees on registers, flags, memory and faults in ${mode}-bit mode, ${name}`, function () {
        this.timeout(300_000);
        const set = unpackVectors(readFileSync(`test/x86/cpu/vectors/integer-${mode}.bin.gz`));
        assert.equal(set.mode, mode);
        assert.ok(set.vectors.length > 10_000);
        const { wrong } = replay(set, new Replayer(mode, set.files, set.memory, budget));
        const texts = [...wrong.values()].slice(0, SHOWN).map(({ text }) => text);
        const title = `${wrong.size} forms differ from ${set.processor}`;
        assert.equal(wrong.size, 0, `${title}\n${texts.join("\n")}`);
      });
    }
  }
});
