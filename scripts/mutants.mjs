// `npm run mutants`: changes one place of src/kvm/mmu and src/kvm/tdp at a time and asks whether the tests,
// and after them the fuzzer, notice. Survivors are printed with their line, to be explained or killed.
//   node scripts/mutants.mjs [--seed N] [--count N] [--jobs N] [--fuzz-steps N] [--under src/kvm/mmu,…]
//     [--list] [--only N,N…]
import { spawn } from "node:child_process";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import * as esbuild from "esbuild";
import { operators } from "./mutation-operators.mjs";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string", default: "120" },
    jobs: { type: "string", default: "2" },
    "fuzz-steps": { type: "string", default: "60000" },
    under: { type: "string", default: "src/kvm/mmu,src/kvm/tdp" },
    list: { type: "boolean", default: false },
    only: { type: "string" },
  },
});

/** What checks the engine rather than being it, and what only says what happened. */
const LEFT_OUT = [
  /\/invariants\//,
  /announce\.ts$/,
  /spte-bits\.ts$/,
  /stats\.ts$/,
  /invariants\.ts$/,
];
const TESTS = ["test/golden", "test/kvm/mmu", "test/kvm/tdp", "test/kvm"];
/** A mutant that is still busy after so long hangs, which is noticed too. */
const LIMIT_MS = 240_000;

/** TypeScript files below a folder, or in it alone. */
const filesOf = (folder, recursive) =>
  readdirSync(folder, { recursive })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${folder}/${name}`)
    .sort();

/** Every change there is, in the order of files and lines. */
function allMutants() {
  const files = values.under
    .split(",")
    .flatMap((folder) => filesOf(folder, true))
    .filter((file) => !LEFT_OUT.some((pattern) => pattern.test(file)));
  return files.flatMap((file) => {
    const lines = readFileSync(file, "utf8").split("\n");
    return lines.flatMap((line, i) =>
      operators(line).map(({ name, changed }) => ({ file, at: i, name, line, changed })),
    );
  });
}

/** A repeatable sample without repetition (mulberry32 over the indices). */
function sample(all, count, seed) {
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const rest = [...all];
  const chosen = [];
  while (chosen.length < count && rest.length > 0)
    chosen.push(...rest.splice(Math.floor(random() * rest.length), 1));
  return chosen;
}

const all = allMutants();
const numbers = values.only?.split(",").map(Number);
const drawn = sample(all, Number(values.count), Number(values.seed)).map((mutant, n) => ({
  ...mutant,
  n,
}));
const mutants = numbers ? drawn.filter(({ n }) => numbers.includes(n)) : drawn;
if (values.list) {
  for (const each of mutants) console.log(describe(each));
  process.exit(0);
}
console.log(`${all.length} mutants, ${mutants.length} of them tried (seed ${values.seed})`);

function describe({ n, file, at, name, line, changed }) {
  return `#${n} ${file}:${at + 1} ${name}\n    - ${line.trim()}\n    + ${changed.trim() || "(gone)"}`;
}

const root = mkdtempSync(path.join(os.tmpdir(), "penumbra-mutants-"));

/** A tree of its own to be changed: one for each job. */
function makeTree(job) {
  const tree = path.join(root, String(job));
  for (const folder of ["src", "test"])
    cpSync(folder, path.join(tree, folder), { recursive: true });
  symlinkSync(path.resolve("node_modules"), path.join(tree, "node_modules"));
  return tree;
}

const bundle = (tree, entryPoints, outdir) =>
  esbuild.build({
    absWorkingDir: tree,
    entryPoints,
    outdir,
    outbase: ".",
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    logLevel: "silent",
    loader: { ".wasm": "binary" },
    external: ["mocha", "fast-check"],
  });

/** True when the command ends well within the limit. */
function passes(tree, words) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, words, { cwd: tree, stdio: "ignore" });
    const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
    child.on("exit", (code) => {
      clearTimeout(timer);
      resolve(code === 0);
    });
  });
}

const TEST_FILES = TESTS.flatMap((folder) =>
  filesOf(folder, false).filter((file) => file.endsWith(".test.ts")),
);

/** Who notices the change: "tests", "fuzz" or nobody. */
async function verdict(tree, { file, at, changed }) {
  const target = path.join(tree, file);
  const original = readFileSync(target, "utf8");
  const lines = original.split("\n");
  lines[at] = changed;
  writeFileSync(target, lines.join("\n"));
  try {
    await bundle(tree, TEST_FILES, "out");
    const mocha = path.join("node_modules", "mocha", "bin", "mocha.js");
    const outputs = TEST_FILES.map((test) => path.join("out", test.replace(/ts$/, "js")));
    if (!(await passes(tree, [mocha, "--bail", "--timeout", "60000", ...outputs]))) return "tests";
    await bundle(tree, ["test/fuzz/fuzz.main.ts"], "out");
    const fuzz = ["out/test/fuzz/fuzz.main.js", "--steps", values["fuzz-steps"]];
    const eras = ["--era", "modern,2012,2010", "--seed", "7"];
    if (!(await passes(tree, [...fuzz, ...eras]))) return "fuzz";
    return undefined;
  } catch {
    return "tests";
  } finally {
    writeFileSync(target, original);
  }
}

const counts = { tests: 0, fuzz: 0 };
const survivors = [];
const queue = [...mutants];
async function work(job) {
  const tree = makeTree(job);
  for (let mutant = queue.shift(); mutant; mutant = queue.shift()) {
    const killer = await verdict(tree, mutant);
    if (killer) counts[killer]++;
    else survivors.push(mutant);
    console.log(killer ? `noticed by ${killer}: #${mutant.n}` : `survived: ${describe(mutant)}`);
  }
}
await Promise.all(Array.from({ length: Number(values.jobs) }, (_, job) => work(job)));
rmSync(root, { recursive: true, force: true });
const killed = counts.tests + counts.fuzz;
const share = ((100 * killed) / mutants.length).toFixed(1);
console.log(
  `${killed} of ${mutants.length} noticed (${share} %): ${counts.tests} by tests, ${counts.fuzz} by the fuzzer; ${survivors.length} survived`,
);
