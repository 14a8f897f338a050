// Runs a program whose guest announces the ends of its laps, and times them.
import { spawn } from "node:child_process";

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
 * Seconds of the short and of the long lap, and the last line of JSON on stderr. The program is ended
 * after the long lap.
 */
export function timeLaps([program, ...args]) {
  return new Promise((resolve, reject) => {
    // Bochs' debugger leaves at the end of its input, so that stays open.
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    const at = {};
    let stderr = "";
    const patience = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
    child.stdout.on("data", (chunk) => {
      const now = performance.now();
      for (const byte of chunk) {
        const mark = MARKS.get(byte);
        if (mark) at[mark] ??= now;
      }
      // Penumbra says on stderr what it counted and leaves by itself.
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
      const told = stderr.split("\n").findLast((line) => line.startsWith("{"));
      resolve({
        short: (at.short - at.warm) / 1000,
        long: (at.long - at.short) / 1000,
        told: told ? JSON.parse(told) : {},
      });
    });
  });
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
