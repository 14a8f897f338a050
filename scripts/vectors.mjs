// `npm run vectors`: test cases for the processor, made by the real one. See test/x86/cpu/oracle/README.md.
import path from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const outfile = path.resolve("test-output/vectors.mjs");
await build({
  entryPoints: ["test/x86/cpu/oracle/main.ts"],
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  outfile,
  logLevel: "warning",
});
const { main } = await import(pathToFileURL(outfile).href);
try {
  process.exitCode = main(process.argv.slice(2));
} catch (problem) {
  console.error(problem.message);
  process.exitCode = 2;
}
