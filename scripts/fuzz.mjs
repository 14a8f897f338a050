// `npm run fuzz`: random guest paging operations, under shadow and on a plain model, with every
// invariant checked.
//   node scripts/fuzz.mjs [--seed N] [--ops N]
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: { seed: { type: "string" }, ops: { type: "string", default: "1000000" } },
});
const environment = {
  ...process.env,
  FUZZ_OPS: values.ops,
  ...(values.seed === undefined ? {} : { FUZZ_SEED: values.seed }),
};
const run = (...args) =>
  spawnSync(process.execPath, args, { stdio: "inherit", env: environment }).status ?? 1;

process.exitCode =
  run("esbuild.mjs") ||
  run("node_modules/mocha/bin/mocha.js", "--timeout", "0", "out/test/fuzz/paging-ops.test.js");
