// `npm start`: builds Penumbra and opens an editor on the samples, ready for F5.
//   node scripts/start.mjs               the `code` on the PATH, or else the packaged workbench in a browser
//   node scripts/start.mjs --browser     the packaged workbench even so
//   node scripts/start.mjs --headless    the sample guest in this terminal, with its MMU events
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startServer } from "../test/editor/server.mjs";
import { quietSettings } from "../test/editor/settings.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const samples = path.join(root, "media/samples/samples.code-workspace");
const guest = path.join(root, "media/guests/paging-tour/paging-tour.elf");
/** What the tour is about: its faults, and the tables that go unsync and are brought back. */
const TRACE = "exception,kvm_mmu_unsync_page,kvm_mmu_sync_page,invlpg";

const { values: options } = parseArgs({
  options: {
    headless: { type: "boolean", default: false },
    browser: { type: "boolean", default: false },
    port: { type: "string", default: "0" },
  },
});

try {
  if (options.headless) runHeadless();
  else if (!options.browser && hasCode()) openInCode();
  else await openInBrowser();
} catch (problem) {
  console.error(problem.message);
  process.exitCode = 1;
}

function runHeadless() {
  build();
  const command = ["dist/cli.js", "run", guest, "--mmu", "shadow", "--trace", TRACE];
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: "inherit" });
  process.exitCode = status ?? 1;
}

function openInCode() {
  build();
  run("opening VS Code", "code", "--new-window", `--extensionDevelopmentPath=${root}`, samples);
  console.log("VS Code is opening on the samples. Press F5 there.");
}

async function openInBrowser() {
  const folder = mkdtempSync(path.join(os.tmpdir(), "penumbra-start-"));
  const vsix = path.join(folder, "penumbra.vsix");
  try {
    const vsce = path.join(root, "node_modules/@vscode/vsce/vsce");
    // Builds first, by the prepublish script.
    run("packaging", process.execPath, vsce, "package", "-o", vsix);
    const server = await startServer({
      settings: quietSettings,
      vsix: [vsix],
      driver: false,
      port: Number(options.port),
    });
    console.log(`
The workbench is open to this machine alone. In a browser, go to

  ${server.url({ workspace: samples, open: path.join(path.dirname(guest), "tour.c") })}

and press F5. Ctrl+C here ends it.`);
    const status = await Promise.race([interrupted(), server.ended]);
    await server.stop();
    process.exitCode = status;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function build() {
  run("building", process.execPath, "esbuild.mjs", "--production");
}

function interrupted() {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => resolve(0));
  });
}

function hasCode() {
  return spawnSync("code --version", { shell: true, stdio: "ignore" }).status === 0;
}

/** Runs a step quietly; if it fails, what it said is the error. */
function run(what, command, ...args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    // Windows has code.cmd, which only a shell can start.
    shell: command === "code" && process.platform === "win32",
  });
  if (status !== 0) throw new Error(`${what} failed: ${error?.message ?? `${stdout}${stderr}`}`);
}
