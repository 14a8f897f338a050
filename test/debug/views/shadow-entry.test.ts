import assert from "node:assert/strict";
import { entryGva, gpteFlagText, readEntry } from "../../../src/debug/views/shadow-entry";
import { placesOf } from "../../../src/debug/views/upward";
import { CR4, gfn } from "../../../src/x86";
import { Guest } from "../../kvm/guest";

/** What the views show of an entry of the shadow page with this gfn and quadrant. */
function shown(g: Guest, table: number, role: number, index: number) {
  const page = g.vm.pagesOf(gfn(table)).find((each) => each.role === role)!;
  const entry = { lo: 0, hi: 0 };
  const read = (at: Parameters<typeof g.vm.memory.peekEntry>[0], bytes: 4 | 8) =>
    g.vm.memory.peekEntry(at, bytes, entry)
      ? (BigInt(entry.hi) << 32n) | BigInt(entry.lo)
      : undefined;
  const found = readEntry(g.vm, read, page, index, 0n);
  return { ...found.gpte, flags: gpteFlagText(found), place: placesOf(g.vm, page, index)[0]?.gva };
}

describe("entries in the views", () => {
  it("F-052 F-053 show the 4-byte gpte they stand for, by quadrant", () => {
    const g = new Guest().entry32(0x1c04, 0x2067).entry32(0x280c, 0x9027).entry32(0x1c08, 0x4000e7);
    g.start("32-bit", 0x1000, { cr4: CR4.PSE });
    g.read(3, 0xc0603000);
    g.read(3, 0xc0a00000);
    assert.deepEqual(shown(g, 2, 0x3731, 3), {
      address: 0x280c,
      value: 0x9027n,
      flags: "P W U A",
      place: 0xc0603000n,
    });
    assert.deepEqual(shown(g, 1, 0x3772, 5), {
      address: 0x1c08,
      value: 0x4000e7n,
      flags: "P W U A D PS",
      place: 0xc0a00000n,
    });
  });

  it("have canonical addresses with four and with five levels", () => {
    const five = new Guest().entry(0xa800, 0x1067).entry(0x1800, 0x2067).entry(0x2000, 0x3067);
    five.entry(0x3000, 0x4067).entry(0x4028, 0x9067).start("5-level", 0xa000);
    const va = 0xff00_8000_0000_5000n;
    assert.equal(five.read(0, va).kind, "ok");
    assert.equal(shown(five, 4, 0x3701, 5).place, va);
    const low = new Guest().entry(0xa000, 0x1067).entry(0x1800, 0x2067).entry(0x2000, 0x3067);
    low.entry(0x3000, 0x4067).entry(0x4028, 0x9067).start("5-level", 0xa000);
    low.read(0, 0x0000_8000_0000_5000n);
    assert.equal(shown(low, 4, 0x3701, 5).place, 0x0000_8000_0000_5000n);
    const four = new Guest().entry(0x1800, 0x2067).start("4-level", 0x1000);
    assert.equal(entryGva(0n, four.vm.pagesOf(gfn(1))[0]!, 256), 0xffff_8000_0000_0000n);
  });
});
