// The MMU's part of `npm run bench`: single operations, memory of live sptes, a guest that forks and execs.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";
import { image } from "../test/bench/images.mjs";
import { median, timeLaps } from "../test/bench/laps.mjs";

const PAGE = "docs/performance.md";
const SCALES = ["× 1", "× 4", "× 16"];
const BASELINE = "page walk of the processor";
const ROUNDS_OF_FORK = 400;
const LONG = 3;

async function bundle(work, name) {
  const outfile = path.join(work, `${name}.cjs`);
  await build({
    entryPoints: [`test/bench/${name}.ts`],
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    outfile,
    logLevel: "warning",
  });
  return outfile;
}

function answer(...args) {
  const { stdout, status } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`${path.basename(args[0])} ended with ${status}`);
  return JSON.parse(stdout);
}

const figure = (value) => (value < 10 ? value.toFixed(2) : value.toFixed(0));
const count = (value) => String(Math.round(10 * value) / 10);
const row = (cells) => `| ${cells.join(" | ")} |`;
const table = (head, rows) => [row(head), row(head.map(() => "---")), ...rows.map(row)];

/** A row an operation: microseconds at three sizes, as multiples of a page walk, entries read. */
function costTable(runner, runs) {
  const timed = answer(runner, "time", String(runs));
  const read = answer(runner, "reads");
  const walk = Math.min(...timed.find(({ name }) => name === BASELINE).microseconds);
  const rows = timed.map(({ name, grows, microseconds }, n) => {
    const { gptes, sptes } = read[n];
    const reads = SCALES.map((_, i) => `${count(gptes[i])} + ${count(sptes[i])}`);
    const same = reads.every((each) => each === reads[0]);
    return [
      name,
      grows,
      ...microseconds.map(figure),
      figure(microseconds[0] / walk),
      same ? reads[0] : reads.join(", "),
    ];
  });
  const head = ["operation", "what grows", ...SCALES.map((s) => `µs ${s}`), "page walks"];
  return table([...head, "gptes + sptes read"], rows);
}

function memoryLine(runner) {
  const { sptes, bytes } = answer("--expose-gc", runner);
  const mib = bytes / 2 ** 20;
  return `${sptes} live sptes: ${mib.toFixed(0)} MB on top of guest memory (${(bytes / sptes).toFixed(0)} bytes each)`;
}

/** Processor time of a round of fork, exec and exit, under shadow and without a hypervisor, alternating. */
async function forkLine(runner, work, runs) {
  const sector = path.join(work, "fork.bin");
  writeFileSync(sector, image("fork-64", ROUNDS_OF_FORK, LONG * ROUNDS_OF_FORK));
  const seconds = { none: [], shadow: [] };
  for (let run = 0; run < runs; run++)
    for (const mmu of ["none", "shadow"]) {
      const { short, long } = await timeLaps([process.execPath, runner, sector, mmu, "64"]);
      seconds[mmu].push((long - short) / ((LONG - 1) * ROUNDS_OF_FORK));
    }
  const ratio = median(seconds.shadow) / median(seconds.none);
  const round = (mmu) => (1e6 * median(seconds[mmu])).toFixed(0);
  return `fork and exec: ${ratio.toFixed(2)} times the time of \`none\` (${round("shadow")} µs a round, ${round("none")} µs)`;
}

/** Prints the MMU's costs; with `write`, puts them into the page of the documentation too. */
export async function measureMmu({ work, runner, runs, write }) {
  const lines = [
    ...costTable(await bundle(work, "mmu-costs"), runs),
    "",
    memoryLine(await bundle(work, "mmu-memory")),
    "",
    await forkLine(runner, work, runs),
  ];
  console.log(`\n${lines.join("\n")}`);
  if (!write) return;
  const text = readFileSync(PAGE, "utf8").replace(
    /<!-- costs -->[\s\S]*<!-- end -->/,
    `<!-- costs -->\n${lines.join("\n")}\n<!-- end -->`,
  );
  writeFileSync(PAGE, text);
}
