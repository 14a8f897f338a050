import { readFileSync, writeSync } from "node:fs";
import path from "node:path";
import { setFlagsFromString } from "node:v8";
import { dispatch } from "./commands";
import type { Console } from "./console";

/** Why a file could not be read, and what to do. */
const FILE_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: "no such file: check the path",
  EACCES: "the file may not be read: check its permissions",
  EISDIR: "this is a folder: name a file in it",
};

/** Writes all of it before returning, so that output and diagnostics keep their order. */
function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (problem) {
      const code = (problem as NodeJS.ErrnoException).code;
      // A reader that went away (head) ends the output; a full pipe is tried again.
      if (code === "EPIPE") process.exit(0);
      if (code !== "EAGAIN") throw problem;
    }
  }
}

const line = (text: string): Uint8Array => new TextEncoder().encode(`${text}\n`);

const processConsole: Console = {
  output: (bytes) => writeAll(1, bytes),
  print: (text) => writeAll(1, line(text)),
  error: (text) => writeAll(2, line(text)),
  readFile: (file) => {
    try {
      return new Uint8Array(readFileSync(file));
    } catch (problem) {
      const { code = "", message } = problem as NodeJS.ErrnoException;
      return { problem: FILE_PROBLEMS[code] ?? message };
    }
  },
  now: () => performance.now(),
};

/** The version of the package that this bundle lies in (dist/cli.js). */
function version(): string {
  const file = path.join(__dirname, "../package.json");
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

// Making the interpreter leaves garbage that a growing young generation would keep: 30 MB of process.
setFlagsFromString("--semi-space-growth-factor=1");
void (async () => {
  process.exitCode = await dispatch(process.argv.slice(2), processConsole, version());
})();
