import assert from "node:assert/strict";
import { packageExtension } from "../packaging.mjs";

describe("the package", () => {
  before(function () {
    this.timeout(120_000);
    packageExtension();
  });

  it("is made without warnings", () => {
    assert.doesNotMatch(packageExtension().said, /\bWARNING\b/);
  });

  it("is smaller than 5 MB", () => {
    assert.ok(packageExtension().size < 5_000_000, `${packageExtension().size} bytes`);
  });

  it("holds the bundles, the samples and no sources", () => {
    const { said } = packageExtension();
    for (const wanted of ["extension.js", "worker.js", "cli.js", "readme.md", "walkthrough"]) {
      assert.ok(said.includes(wanted), `${wanted} in:\n${said}`);
    }
    for (const unwanted of ["src/", "node_modules", "test/", ".map"]) {
      assert.ok(!said.includes(unwanted), `${unwanted} in:\n${said}`);
    }
  });
});
