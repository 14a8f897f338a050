import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

const FOLDER = "media/guests/paging-tour";
const SAMPLES = "media/samples";
const elf = readFileSync(`${FOLDER}/paging-tour.elf`);

/** Text between zero bytes, as string tables hold it. */
const strings = new Set(elf.toString("latin1").split("\0"));

describe("the paging tour's file", () => {
  it("is an ELF64 with a multiboot 1 header where loaders look for one", () => {
    assert.equal(elf.readUInt32BE(0), 0x7f454c46);
    assert.equal(elf[4], 2, "ELF64");
    const at = elf.subarray(0, 8192).indexOf(Buffer.from([0x02, 0xb0, 0xad, 0x1b]));
    assert.ok(at > 0 && at % 4 === 0, `the header is at ${at}`);
    const sum = elf.readUInt32LE(at) + elf.readUInt32LE(at + 4) + elf.readUInt32LE(at + 8);
    assert.equal(sum % 2 ** 32, 0);
  });

  it("has a function for each chapter", () => {
    const declared = readFileSync(`${FOLDER}/chapters.h`, "utf8").matchAll(/^void (\w+)\(/gm);
    const chapters = ["enter_long_mode", ...[...declared].map((m) => m[1] ?? "")];
    assert.equal(chapters.length, 8);
    assert.deepEqual(
      chapters.filter((name) => !strings.has(name)),
      [],
    );
  });

  it("names its sources relative to the repository, and they are there", () => {
    const sources = [...strings].filter((s) => /\.(c|S|h)$/.test(s) && s.includes("/"));
    assert.ok(sources.length >= 14, `only ${sources.length} sources`);
    assert.deepEqual(
      sources.filter((s) => !s.startsWith(`${FOLDER}/`) || !existsSync(s)),
      [],
    );
    // Long enough to be a folder, and no more than printable: not machine code by chance.
    assert.deepEqual(
      [...strings].filter((s) => /^(\/|[A-Z]:\\)[\w.-]+[/\\][\w./\\-]+$/.test(s)),
      [],
    );
  });
});

describe("the samples folder", () => {
  const text = readFileSync(`${SAMPLES}/.vscode/launch.json`, "utf8");
  const { configurations } = JSON.parse(text) as {
    configurations: { name: string; type: string; program: string; mmu: string }[];
  };

  it("launches guests that are there", () => {
    for (const { name, type, program } of configurations) {
      assert.equal(type, "penumbra", name);
      assert.ok(existsSync(path.join(program.replace(/^\$\{workspaceFolder\}/, SAMPLES))), program);
    }
  });

  it("offers the tour with and without a hypervisor", () => {
    assert.deepEqual(
      configurations.map((c) => c.mmu),
      ["shadow", "none"],
    );
  });

  it("links only to files that are there", () => {
    for (const file of [`${SAMPLES}/README.md`, `${FOLDER}/README.md`]) {
      const links = readFileSync(file, "utf8").matchAll(/\]\(([^)#:]+)\)/g);
      for (const [, link] of links)
        assert.ok(existsSync(path.join(path.dirname(file), link ?? "")), `${file} → ${link}`);
    }
  });
});
