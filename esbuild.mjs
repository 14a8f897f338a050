// Bundles the extension, its worker, the command line and (unless --production) every test.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import * as esbuild from "esbuild";

/** iced-x86 reads its WebAssembly from a file beside it; a bundle carries the bytes instead. */
const embedDisassembler = {
  name: "embed-disassembler",
  setup(build) {
    build.onLoad({ filter: /iced_x86\.js$/ }, async ({ path: file }) => {
      const source = await readFile(file, "utf8");
      const contents = source
        .replace(/const path = require\('path'\).*\n/, "")
        .replace(
          /const bytes = require\('fs'\).*\n/,
          'const bytes = require("./iced_x86_bg.wasm");\n',
        );
      if (contents.includes("readFileSync"))
        throw new Error(`${file} no longer reads its file as expected`);
      return { contents, loader: "js" };
    });
  },
};

const production = process.argv.includes("--production");
const common = {
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  sourcemap: production ? false : "linked",
  minify: production,
  logLevel: "warning",
  loader: { ".wasm": "binary" },
  plugins: [embedDisassembler],
};

/** Every file below `dir` with this ending, sorted so that builds are repeatable. */
function filesBelow(dir, ending) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true })
    .map((file) => path.join(dir, String(file)))
    .filter((file) => file.endsWith(ending) && !file.includes("node_modules"))
    .sort();
}

const entryPoints = Object.fromEntries(
  [
    ["extension", "src/extension/main.ts"],
    ["worker", "src/extension/worker.ts"],
    ["cli", "src/cli/main.ts"],
  ].filter(([, file]) => existsSync(file)),
);

rmSync("dist", { recursive: true, force: true });
await esbuild.build({ ...common, entryPoints, outdir: "dist", external: ["vscode"] });
if (!production) {
  rmSync("out", { recursive: true, force: true });
  await esbuild.build({
    ...common,
    entryPoints: filesBelow("test", ".test.ts").concat(filesBelow("test", ".main.ts")),
    outbase: ".",
    outdir: "out",
    // mocha stays external: the runner and the specs must share one copy.
    external: [
      "vscode",
      "mocha",
      "@vscode/debugadapter-testsupport",
      "fast-check",
      "iced-x86",
      "v86",
    ],
  });
}
