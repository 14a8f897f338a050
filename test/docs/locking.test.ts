import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

describe("docs/locking.md", () => {
  const text = readFileSync("docs/locking.md", "utf8");

  it("F-157 names the locks of KVM's document, those of the VM list and of the clock among them", () => {
    for (const lock of ["kvm_lock", "raw_tsc_write_lock", "slots_lock", "mmu_lock"])
      assert.match(text, new RegExp(`^\\|.*\`${lock}\`.*\\|$`, "m"));
  });

  it("lists every point that is announced", () => {
    const files = readdirSync("src/kvm", { recursive: true }).map(String);
    const sources = files
      .filter((file) => file.endsWith(".ts"))
      .map((file) => readFileSync(path.join("src/kvm", file), "utf8"));
    const points = sources.flatMap((source) =>
      [...source.matchAll(/reachPoint\([^,]+, "(\w+)"/g)].map(([, point]) => point ?? ""),
    );
    assert.ok(points.length > 10);
    const rows = text.split("\n").filter((line) => /^\| [A-Z]\d/.test(line));
    const listed = rows.flatMap((line) => line.split("|")[1]?.trim().split(", ") ?? []);
    assert.deepEqual(
      points.filter((point) => !listed.includes(point)),
      [],
    );
  });
});
