// `npm run fuzz`: random guests on every engine, in every mode, against what the manual says, with all
// invariants checked. A failure is printed as a test, with its seed.
//   node scripts/fuzz.mjs [--seed N] [--minutes M | --steps N | --program N]
//     [--mmu none,shadow,ept,npt] [--mode none,32-bit,PAE,4-level,5-level] [--era modern,2012,2010]
//     [--check N] [--failures N] [--unshrunk]
// --check: steps from one run of all invariants to the next; --failures: stop after so many;
// --unshrunk: only say what failed.
import { spawnSync } from "node:child_process";
import * as esbuild from "esbuild";

await esbuild.build({
  entryPoints: ["test/fuzz/fuzz.main.ts"],
  outdir: "out/fuzz",
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  sourcemap: "inline",
  logLevel: "warning",
  loader: { ".wasm": "binary" },
});
const { status } = spawnSync(
  process.execPath,
  ["--enable-source-maps", "out/fuzz/fuzz.main.js", ...process.argv.slice(2)],
  { stdio: "inherit" },
);
process.exitCode = status ?? 1;
