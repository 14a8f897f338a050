import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { eachWithClient, program } from "./tour";

describe("launch configurations that cannot be", () => {
  const session = eachWithClient();
  let folder = "";
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), "penumbra-launch-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** A file of the test's own making. */
  function file(name: string, bytes: Uint8Array): string {
    const at = path.join(folder, name);
    writeFileSync(at, bytes);
    return at;
  }
  function changed(name: string, change: (bytes: Uint8Array) => Uint8Array): string {
    return file(name, change(new Uint8Array(readFileSync(program))));
  }

  const rows: readonly (readonly [string, () => object, RegExp])[] = [
    [
      "an unknown key, with the nearest known",
      () => ({ program, memroy: "64M" }),
      /"memroy"; did you mean "memory"\?/,
    ],
    [
      "a key that is like none",
      () => ({ program, frobnicate: 1 }),
      /there is no key "frobnicate"\./,
    ],
    ["no program", () => ({}), /"program" is missing: give the path/],
    [
      "a missing file",
      () => ({ program: "nowhere.elf" }),
      /^Cannot read nowhere\.elf: no such file\. Check "program"/,
    ],
    ["a folder", () => ({ program: folder }), /it is a folder\. Check "program"/],
    [
      "a missing initrd",
      () => ({ program, initrd: "nowhere.img" }),
      /nowhere\.img: no such file\. Check "initrd"/,
    ],
    [
      "missing symbols",
      () => ({ program, symbols: ["nowhere.elf"] }),
      /no such file\. Check "symbols"/,
    ],
    [
      "a memory size that is none",
      () => ({ program, memory: "lots" }),
      /"memory" must be a size such as "64M", not "lots"\.$/,
    ],
    ["too little memory", () => ({ program, memory: "4K" }), /bytes is outside 1M … 3G/],
    ["too much memory", () => ({ program, memory: "64G" }), /bytes is outside 1M … 3G/],
    [
      "memory that is no whole number of pages",
      () => ({ program, memory: 0x100001 * 16 + 1 }),
      /16777233 bytes is not a multiple of 0x1000/,
    ],
    [
      "an MMU that nobody knows",
      () => ({ program, mmu: "shadw" }),
      /"mmu" cannot be "shadw": choose "shadow", "ept", "npt" or "none"\.$/,
    ],
    ["an unknown era", () => ({ program, era: "1999" }), /"era" .*"1999".*"modern"/],
    [
      "a TDP MMU under shadow paging",
      () => ({ program, mmu: "shadow", tdpMmu: false }),
      /tdpMmu belongs to two-dimensional paging: leave it out under mmu shadow, or choose mmu ept/,
    ],
    [
      "a TDP MMU before there was one",
      () => ({ program, mmu: "ept", era: "2012", tdpMmu: true }),
      /tdpMmu: the era 2012 has no TDP MMU: leave it out, or choose the era modern/,
    ],
    [
      "too many vCPUs",
      () => ({ program, vcpus: 9 }),
      /"vcpus" must be a whole number from 1 to 8, not 9\.$/,
    ],
    [
      "a condition that is no boolean",
      () => ({ program, stopOnEntry: "yes" }),
      /"stopOnEntry" must be true or false, not "yes"\.$/,
    ],
    [
      "init that is no list",
      () => ({ program, init: "1" }),
      /"init" must be a list of console commands, not "1"\.$/,
    ],
    [
      "a source map that is none",
      () => ({ program, sourceMap: [1] }),
      /"sourceMap" must map path prefixes to paths, not \[1\]\.$/,
    ],
    [
      "a symbol file without a name",
      () => ({ program, symbols: [{ base: 1 }] }),
      /"symbols" entry 0 needs a "file", got/,
    ],
    [
      "a memslot without a size",
      () => ({ program, memslots: [{ gpa: 0 }] }),
      /"memslots" entry 0 needs "gpa" and "size"/,
    ],
    [
      "a memslot with an unknown flag",
      () => ({ program, memslots: [{ gpa: 0, size: "64M", flags: ["rw"] }] }),
      /flags \["rw"\]: each must be "ro" or "log-dirty"/,
    ],
    [
      "overlapping memslots, both named",
      () => ({
        program,
        memslots: [
          { gpa: 0, size: "64M" },
          { gpa: "0x3000000", size: "32M" },
        ],
      }),
      /memslot 1 \(gpa 0x3000000, .* overlaps memslot 0/,
    ],
    [
      "an unaligned memslot",
      () => ({ program, memslots: [{ gpa: 0x10, size: "64M" }] }),
      /memslot 0 \(gpa 0x10, .* is not aligned/,
    ],
    [
      "an image beyond the memory it is given",
      () => ({ program, memslots: [{ gpa: 0, size: "64K" }] }),
      /the image needs memory at gpa 0x100000/,
    ],
    [
      "an ELF of a wrong machine",
      () => ({ program: changed("arm.elf", (b) => b.with(18, 40)) }),
      /arm\.elf/,
    ],
    [
      "a truncated ELF",
      () => ({ program: changed("short.elf", (b) => b.slice(0, 100)) }),
      /short\.elf/,
    ],
  ];

  for (const [what, args, sentence] of rows)
    it(`refuses ${what} in one sentence`, async () => {
      const { client } = session;
      await client.request("initialize");
      const refusal = await client.refused("launch", args());
      assert.match(refusal.message, sentence);
      assert.ok(!refusal.message.includes("\n"), refusal.message);
      assert.match(refusal.message, /[.?!]$/);
      assert.equal(refusal.id, 1100);
      assert.equal(refusal.body?.error?.showUser, true);
    });

  it("can launch after a refusal", async () => {
    const { client } = session;
    await client.request("initialize");
    await client.refused("launch", { program: "nowhere.elf" });
    await client.request("launch", { program });
    await client.request("configurationDone");
    assert.equal((await client.stopped()).reason, "entry");
  });

  it("has one machine a session", async () => {
    const client = await session.onTour();
    const refusal = await client.refused("launch", { program });
    assert.match(refusal.message, /has its machine already/);
    assert.equal(await client.where(), "boot.S:26 _start");
  });

  it("cannot attach, and says what to do", async () => {
    const refusal = await session.client.refused("attach");
    assert.match(refusal.message, /cannot attach yet; use a launch configuration/);
  });
});
