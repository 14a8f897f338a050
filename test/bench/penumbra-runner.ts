import { readFileSync, writeSync } from "node:fs";
import { createMachine, type Machine, type MmuMode } from "../../src/machine";

/**
 * Runs one boot sector under Penumbra and passes on what it announces; after the last announcement it
 * prints on stderr the instructions retired and the processor time at each, and the process's memory.
 *   node penumbra-runner.js IMAGE MMU MEMORY [STEPS]
 * With STEPS it makes so many single steps instead and prints their cost.
 */
const [imageFile = "", mmu = "none", memory = "16", steps] = process.argv.slice(2);
const SLICE = 50_000_000;
const LAST = 0xe3;

function boot(): Machine {
  const made = createMachine({
    image: readFileSync(imageFile),
    imageName: "bench.bin",
    memory: Number(memory) << 20,
    vcpus: 1,
    mmu: mmu as MmuMode,
    era: "modern",
  });
  if (made.kind !== "machine") throw new Error(JSON.stringify(made));
  return made.machine;
}

const cpuMilliseconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

function runLaps(machine: Machine): void {
  const retired: number[] = [];
  const cpu: number[] = [];
  machine.onOutput((bytes) => {
    // The serial port repeats what the debug console said, in other letters.
    if (bytes.every((byte) => byte < 0xe0)) return;
    cpu.push(cpuMilliseconds());
    retired.push(machine.vcpus[0]!.retired);
    writeSync(1, bytes);
    if (!bytes.includes(LAST)) return;
    const rss = Math.round(process.memoryUsage().rss / 2 ** 20);
    writeSync(2, `${JSON.stringify({ retired, cpu, rss })}\n`);
    process.exit(0);
  });
  for (;;) {
    const stop = machine.run(SLICE);
    if (stop.kind !== "limit") throw new Error(`guest ended: ${JSON.stringify(stop)}`);
  }
}

function timeSteps(machine: Machine, count: number): void {
  const WARM_UP = 1000;
  for (let n = 0; n < WARM_UP; n++) machine.step(0);
  const started = cpuMilliseconds();
  for (let n = 0; n < count; n++) machine.step(0);
  const stepMicroseconds = (1000 * (cpuMilliseconds() - started)) / count;
  writeSync(2, `${JSON.stringify({ stepMicroseconds })}\n`);
}

if (steps) timeSteps(boot(), Number(steps));
else runLaps(boot());
