// `npm run bench`: the same guest kernels under Penumbra and under its peers, in one run, as ratios.
//   npm run bench -- [--runs 5] [--kernels alu,mem] [--bits 64] [--no-peers]
//   npm run bench -- --mmu [--write]     only what the MMU's operations cost; into docs/performance.md
// Laps of two lengths give a slope, which leaves starting and announcing out; the runs of all machines
// alternate, and medians are compared. Times are processor time where the system tells it. Peers that are
// not installed are named and left out.
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";
import { image, KERNELS, rom } from "../test/bench/images.mjs";
import { median, timeLaps } from "../test/bench/laps.mjs";
import { PEERS } from "../test/bench/peers.mjs";
import { measureMmu } from "./bench-mmu.mjs";

/** Rounds of a short lap at pace 1: some 12 million instructions. */
const ROUNDS = { alu: 1200, sieve: 130, fib: 400, med: 700, mem: 120 };
const LONG = 3;
const PENUMBRA_PACE = 5;

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
};
const runs = Number(option("runs", "5"));
const kernels = option("kernels", KERNELS.join(",")).split(",");
const widths = option("bits", "64,32").split(",").map(Number);

const work = path.resolve("test-output/bench");
mkdirSync(work, { recursive: true });
const runner = path.join(work, "penumbra-runner.cjs");
await build({
  entryPoints: ["test/bench/penumbra-runner.ts"],
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  outfile: runner,
  logLevel: "warning",
});

function save(name, bytes) {
  const file = path.join(work, name);
  writeFileSync(file, bytes);
  return file;
}

const penumbra = (mmu) => ({
  name: mmu === "none" ? "Penumbra" : "Penumbra, shadow",
  bits: mmu === "none" ? [64, 32] : [64],
  pace: PENUMBRA_PACE,
  command: (_rom, _work, sector) => [
    process.execPath,
    runner,
    save(`sector-${mmu}.bin`, sector),
    mmu,
  ],
});

const present = process.argv.includes("--no-peers") ? [] : PEERS.filter((peer) => peer.isPresent());
for (const { name } of PEERS)
  if (!present.some((peer) => peer.name === name)) console.log(`${name}: not here, left out`);
const machines = [penumbra("none"), penumbra("shadow"), ...present];

/** Seconds a round of `kernel` takes, and instructions a round where the machine counts them. */
async function measure(machine, kernel, bits) {
  const rounds = ROUNDS[kernel] * machine.pace;
  const sector = image(`${kernel}-${bits}`, rounds, LONG * rounds);
  const { short, long, told } = await timeLaps(
    machine.command(save("rom.bin", rom(sector)), work, sector),
  );
  const [first, second, third] = told.retired ?? [];
  const more = (LONG - 1) * rounds;
  return {
    seconds: (long - short) / more,
    instructions: told.retired && (third - second - (second - first)) / more,
  };
}

/** Medians of all runs: kernel → machine name → { seconds, instructions }. */
async function measureAll(bits) {
  const able = machines.filter((machine) => machine.bits.includes(bits));
  const results = {};
  for (const kernel of kernels) {
    const samples = able.map(() => []);
    for (let run = 0; run < runs; run++)
      for (const [n, machine] of able.entries())
        samples[n].push(await measure(machine, kernel, bits));
    results[kernel] = Object.fromEntries(
      able.map(({ name }, n) => [
        name,
        {
          seconds: median(samples[n].map(({ seconds }) => seconds)),
          instructions: samples[n][0].instructions,
        },
      ]),
    );
  }
  return { names: able.map(({ name }) => name), results };
}

const cell = (text, width) => String(text).padStart(width);

function printTable(bits, { names, results }) {
  const others = names.filter((name) => name !== "Penumbra");
  const header = others.map((name) =>
    name.startsWith("Penumbra") ? "shadow ÷ none" : `÷ ${name}`,
  );
  console.log(
    `\n${bits}-bit kernels: speed of Penumbra ÷ speed of the other, median of ${runs} runs`,
  );
  console.log(
    `${"".padEnd(7)}${header.map((text) => cell(text, 16)).join("")}${cell("(MIPS now)", 14)}`,
  );
  for (const kernel of kernels) {
    const own = results[kernel].Penumbra;
    const ratios = others.map((name) => {
      const ratio = results[kernel][name].seconds / own.seconds;
      return cell((name.startsWith("Penumbra") ? 1 / ratio : ratio).toFixed(2), 16);
    });
    const mips = own.instructions / own.seconds / 1e6;
    console.log(`${kernel.padEnd(7)}${ratios.join("")}${cell(mips.toFixed(0), 14)}`);
  }
}

const PAGES = 60_000;
/** Faults that come first and are not counted: V8 compiles the hot path meanwhile. */
const WARM_UP_PAGES = 20_000;
const STEPS = 20_000;

async function measureCosts() {
  const sectors = [WARM_UP_PAGES, PAGES].map((pages) =>
    save(`touch-${pages}.bin`, image("touch-64", pages, 0)),
  );
  const perPage = { none: [], shadow: [] };
  const rss = { none: [], shadow: [] };
  const steps = { none: [], shadow: [] };
  const stepped = save("steps.bin", image("alu-64", 1_000_000, 1_000_000));
  for (let run = 0; run < runs; run++)
    for (const mmu of ["none", "shadow"]) {
      const touch = (sector) => timeLaps([process.execPath, runner, sector, mmu, "256"]);
      const warm = await touch(sectors[0]);
      const all = await touch(sectors[1]);
      perPage[mmu].push((1e6 * (all.short - warm.short)) / (PAGES - WARM_UP_PAGES));
      rss[mmu].push(all.told.rss);
      steps[mmu].push(await stepCost(stepped, mmu));
    }
  const none = median(perPage.none);
  const fault = median(perPage.shadow) - none;
  console.log(
    `\nshadow page fault (exit, walk, spte, re-entry): ${fault.toFixed(2)} µs more than a plain TLB miss (${none.toFixed(2)} µs), over ${PAGES - WARM_UP_PAGES} pages`,
  );
  console.log(
    `machine.step: ${median(steps.none).toFixed(1)} µs (shadow: ${median(steps.shadow).toFixed(1)} µs)`,
  );
  console.log(
    `process memory of a 256 MB guest that touched 234 MB: ${median(rss.none)} MB (shadow: ${median(rss.shadow)} MB)`,
  );
}

async function stepCost(sector, mmu) {
  const { execFile } = await import("node:child_process");
  const { promisify } = await import("node:util");
  const { stderr } = await promisify(execFile)(process.execPath, [
    runner,
    sector,
    mmu,
    "16",
    String(STEPS),
  ]);
  return JSON.parse(stderr.split("\n").findLast((line) => line.startsWith("{"))).stepMicroseconds;
}

if (!process.argv.includes("--mmu")) {
  for (const bits of widths) printTable(bits, await measureAll(bits));
  await measureCosts();
}
await measureMmu({ work, runner, runs, write: process.argv.includes("--write") });
