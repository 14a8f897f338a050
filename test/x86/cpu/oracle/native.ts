import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import path from "node:path";
import { baseline, SPACE } from "./address-space";
import { type Case, flagsOf, type Outcome, registerFiles, registersOf, TRAP } from "./case";

const CODE_SEGMENT = { 64: 0x33, 32: 0x23 } as const;
const INPUT_BYTES = 168;
const PATCH_BYTES = 24;
const OUTPUT_BYTES = 168;

/** Compiles oracle.c where that is needed. Needs gcc on x86-64 Linux. */
export function buildOracle(folder: string): string {
  const source = "test/x86/cpu/oracle/oracle.c";
  const program = path.join(folder, "oracle");
  mkdirSync(folder, { recursive: true });
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    const { status, error } = spawnSync("gcc", ["-O1", "-o", program, source], {
      stdio: "inherit",
    });
    if (error || status !== 0) throw new Error(`gcc could not build ${source}`);
  }
  return program;
}

function packSpace(): Uint8Array {
  const { code, codePages, scratch, writablePages, readOnlyPages, gsBase } = SPACE;
  const head = new BigUint64Array(
    [code, codePages, scratch, writablePages, readOnlyPages, gsBase].map(BigInt),
  );
  return Buffer.concat([new Uint8Array(head.buffer), baseline()]);
}

function packCase(each: Case, files: readonly (readonly bigint[])[]): Uint8Array {
  const bytes = new Uint8Array(INPUT_BYTES + PATCH_BYTES * each.patches.length);
  const view = new DataView(bytes.buffer);
  registersOf(each, files).forEach((value, n) => {
    view.setBigUint64(8 * n, value, true);
  });
  view.setBigUint64(128, BigInt(each.ip), true);
  view.setBigUint64(136, BigInt(flagsOf(each)), true);
  view.setUint16(144, CODE_SEGMENT[each.mode], true);
  view.setUint16(146, each.patches.length, true);
  view.setUint32(148, each.code.length, true);
  bytes.set(each.code, 152);
  each.patches.forEach((patch, n) => {
    const at = INPUT_BYTES + PATCH_BYTES * n;
    view.setUint32(at, patch.at, true);
    view.setUint32(at + 4, patch.bytes.length, true);
    bytes.set(patch.bytes, at + 8);
  });
  return bytes;
}

function unpack(view: DataView, mode: number): { outcome: Outcome; bytes: number } {
  const u64 = (at: number): bigint => view.getBigUint64(at, true);
  const trap = view.getUint32(152, true);
  const count = view.getUint32(160, true);
  const rip = u64(128);
  const outcome: Outcome = {
    trap,
    error: view.getUint32(156, true),
    cr2: u64(144),
    rip: trap === TRAP.breakpoint ? rip - 1n : rip,
    flags: Number(u64(136)),
    gpr: Array.from({ length: 16 }, (_, n) => BigInt.asUintN(mode, u64(8 * n))),
    changes: Array.from({ length: count }, (_, n) => [
      view.getUint16(OUTPUT_BYTES + 4 * n, true),
      view.getUint16(OUTPUT_BYTES + 4 * n + 2, true),
    ]),
  };
  return { outcome, bytes: OUTPUT_BYTES + 4 * count };
}

/** Runs the cases on this machine's processor. */
export function runNatively(program: string, cases: readonly Case[]): Outcome[] {
  const files = registerFiles();
  const input = Buffer.concat([packSpace(), ...cases.map((each) => packCase(each, files))]);
  const { stdout, status, signal, stderr } = spawnSync(program, {
    input,
    maxBuffer: 2 ** 31 - 1,
  });
  const outcomes: Outcome[] = [];
  let at = 0;
  for (const each of cases) {
    if (at + OUTPUT_BYTES > stdout.length) break;
    const view = new DataView(stdout.buffer, stdout.byteOffset + at, stdout.length - at);
    const { outcome, bytes } = unpack(view, each.mode);
    outcomes.push(outcome);
    at += bytes;
  }
  if (status !== 0 || outcomes.length < cases.length) {
    const last = cases[outcomes.length];
    const hex = last ? Buffer.from(last.code).toString("hex") : "";
    throw new Error(`oracle died (${signal ?? status}) at ${last?.form} ${hex}\n${stderr}`);
  }
  return outcomes;
}

/** The processor's name as Linux gives it: undefined results differ between vendors. */
export function processorName(cpuinfo: string): string {
  const field = (name: string): string =>
    new RegExp(`^${name}\\s*: (.*)$`, "m").exec(cpuinfo)?.[1] ?? "?";
  const family = `family ${field("cpu family")} model ${field("model")} stepping ${field("stepping")}`;
  return `${field("vendor_id")} ${field("model name")} ${family}`;
}

/** Features of /proc/cpuinfo that rows need beyond x86-64's own. */
const NEEDS: Readonly<Record<string, string>> = {
  movbe: "movbe",
  popcnt: "popcnt",
  lzcnt: "abm",
  cmpxchg16b: "cx16",
  lahf: "lahf_lm",
  sahf: "lahf_lm",
};

export const lacks = (cpuinfo: string, name: string): boolean => {
  const need = NEEDS[name];
  const flags = /^flags\s*: (.*)$/m.exec(cpuinfo)?.[1]?.split(" ") ?? [];
  return need !== undefined && !flags.includes(need);
};
