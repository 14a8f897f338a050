// Runs a program whose guest announces the ends of its laps, and times them.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const MARKS = new Map([
  [0xe1, "warm"],
  [0xe2, "short"],
  [0xe3, "long"],
  // As v86 hears them, on the serial port.
  [0xc1, "warm"],
  [0xc2, "short"],
  [0xc3, "long"],
]);
const PATIENCE_MS = 120_000;

/**
 * Milliseconds of processor time of all threads of a process; where the system does not tell, of the
 * clock. Processor time does not mind what else the computer is doing.
 */
function spent(pid) {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const nanoseconds = threads.map((thread) => {
      const [onCpu] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
      return Number(onCpu);
    });
    return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e6;
  } catch {
    return performance.now();
  }
}

/**
 * Seconds of the short and of the long lap, and the last line of JSON on stderr. The program is ended
 * after the long lap.
 */
export function timeLaps([program, ...args]) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    const at = {};
    let stderr = "";
    const patience = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
    child.stdout.on("data", (chunk) => {
      const now = spent(child.pid);
      for (const byte of chunk) {
        const mark = MARKS.get(byte);
        if (mark) at[mark] ??= now;
      }
      // Penumbra says on stderr what it counted, and leaves by itself.
      if (at.long !== undefined) setTimeout(() => child.kill("SIGKILL"), 200);
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(patience);
      if (at.long === undefined) {
        reject(new Error(`${program} did not finish its laps: ${stderr.slice(-500)}`));
        return;
      }
      const line = stderr.split("\n").findLast((each) => each.startsWith("{"));
      const told = line ? JSON.parse(line) : {};
      // A busy computer lets us notice a mark late; Penumbra notes the time itself.
      const [warm, short, long] = told.cpu ?? [at.warm, at.short, at.long];
      resolve({ short: (short - warm) / 1000, long: (long - short) / 1000, told });
    });
  });
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
