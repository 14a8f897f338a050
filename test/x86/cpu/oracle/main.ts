import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { baseline } from "./address-space";
import { type Mode, registerFiles } from "./case";
import { replay } from "./compare";
import { makeVectors } from "./make";
import { PACES, Replayer } from "./replay";
import { packVectors, unpackVectors } from "./vector-file";

const MODES: readonly Mode[] = [64, 32];
const FOLDER = "test/x86/cpu/vectors";
/** Cases a form of the committed data. */
const COMMITTED_CASES = 60;

const usage = `usage: npm run vectors [-- --random CASES_PER_FORM [--seed S] | --replay | --seed S]
  without --random: run the cases on this processor and write ${FOLDER}/*.bin.gz
  --random: run a fresh batch on this processor and through the engine
  --replay: run the committed vectors through the engine`;

const option = (args: readonly string[], name: string): number | undefined => {
  const at = args.indexOf(name);
  if (at < 0) return undefined;
  const value = Number(args[at + 1]);
  if (!Number.isInteger(value) || value < 0) throw new Error(`${name} needs a number\n${usage}`);
  return value;
};

function compareBatch(set: Parameters<typeof replay>[0]): number {
  let different = 0;
  for (const { name, budget } of PACES) {
    const { cases, wrong } = replay(set, new Replayer(set.mode, set.files, set.memory, budget));
    for (const { text, count } of wrong.values()) console.log(`${text}\n  (${count} such cases)`);
    console.log(`${set.mode}-bit, ${name}: ${cases} cases, ${wrong.size} forms differ`);
    different += wrong.size;
  }
  return different;
}

/** The command behind `npm run vectors`; returns the process's exit status. */
export function main(args: readonly string[]): number {
  if (args.includes("--help")) {
    console.log(usage);
    return 0;
  }
  const random = option(args, "--random");
  const seed = option(args, "--seed") ?? (random === undefined ? 1 : Date.now() % 2 ** 31);
  let wrong = 0;
  for (const mode of MODES) {
    const file = `${FOLDER}/integer-${mode}.bin.gz`;
    if (args.includes("--replay")) {
      wrong += compareBatch(unpackVectors(readFileSync(file)));
      continue;
    }
    const made = makeVectors(mode, random ?? COMMITTED_CASES, seed, console.log);
    if (random === undefined) {
      mkdirSync(FOLDER, { recursive: true });
      const bytes = packVectors(made);
      writeFileSync(file, bytes);
      console.log(`${file}: ${made.vectors.length} cases, ${bytes.length} bytes`);
    } else {
      console.log(`${mode}-bit, seed ${seed}:`);
      wrong += compareBatch({ ...made, files: registerFiles(), memory: baseline() });
    }
  }
  return wrong > 0 ? 1 : 0;
}
