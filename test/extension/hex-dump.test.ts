import assert from "node:assert/strict";
import { hexDump } from "../../src/extension/hex-dump";

describe("hexDump", () => {
  it("shows sixteen bytes to a row, and what they spell", () => {
    const bytes = new Uint8Array(20).map((_, i) => 0x40 + i);
    assert.deepEqual(hexDump(0x5000n, bytes, 0).split("\n"), [
      "0000000000005000  40 41 42 43 44 45 46 47  48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO",
      `0000000000005010  50 51 52 53${" ".repeat(12)}  ${" ".repeat(23)}  PQRS`,
    ]);
  });

  it("says how many bytes are missing", () => {
    assert.equal(
      hexDump(0n, new Uint8Array(0), 96),
      "96 bytes cannot be read: nothing is mapped there.",
    );
  });
});
