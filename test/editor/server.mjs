// Starts the VS Code server inside the code-server package on a loopback port. Its own wrapper is
// left out: it adds a password page and a port of its own choice.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setupWorkbench } from "./setup.mjs";

/**
 * - `driver`: for tests. The page then obeys extensionDevelopmentPath and extensionTestsPath, and
 *   needs no token. Without it the page is for a person, and the token stays on.
 * - `vsix`: packages to install before the start.
 */
export async function startServer({ settings, env = {}, vsix = [], driver = true, port = 0, log }) {
  const { node, vscodeRoot } = setupWorkbench();
  const folder = mkdtempSync(path.join(os.tmpdir(), "penumbra-editor-"));
  const discard = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  const settingsFile = path.join(folder, "data/User/settings.json");
  mkdirSync(path.dirname(settingsFile), { recursive: true });
  // This build keeps user settings on the server's disk, so a file is all it takes.
  writeFileSync(settingsFile, JSON.stringify(settings, undefined, 2));

  // On the command line any user of the machine could read it.
  const tokenFile = path.join(folder, "token");
  const token = driver ? undefined : randomBytes(16).toString("hex");
  if (token) writeFileSync(tokenFile, token, { mode: 0o600 });

  const folders = [
    ...["--server-data-dir", folder],
    ...["--user-data-dir", path.join(folder, "data")],
    ...["--extensions-dir", path.join(folder, "extensions")],
  ];
  const run = (args, onText) => {
    const child = spawn(
      node,
      [
        path.join(vscodeRoot, "out/server-main.js"),
        "--accept-server-license-terms",
        ...args,
        ...folders,
      ],
      { env: childEnvironment(env), stdio: ["ignore", "pipe", "pipe"] },
    );
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        log?.(String(chunk));
        onText(String(chunk));
      });
    }
    return child;
  };

  let output = "";
  const keep = (text) => {
    output = (output + text).slice(-20_000);
  };
  try {
    for (const file of vsix) {
      const child = run(["--install-extension", file, "--force"], keep);
      const status = await new Promise((resolve) => child.once("exit", resolve));
      if (status !== 0) throw new Error(`installing ${file} ended with ${status}:\n${output}`);
    }
    const child = run(
      [
        ...["--host", "127.0.0.1", "--port", String(port)],
        ...["--telemetry-level", "off", "--disable-telemetry", "--disable-experiments"],
        ...["--disable-workspace-trust", "--disable-getting-started-override"],
        ...(token
          ? ["--connection-token-file", tokenFile]
          : ["--without-connection-token", "--enable-smoke-test-driver"]),
      ],
      keep,
    );
    const listeningOn = await listening(child, () => output);
    return {
      output: () => output,
      /** Resolves with the status when the server ends by itself. */
      ended: new Promise((resolve) => child.once("exit", resolve)),
      url: (place) => workbenchUrl(listeningOn, token, place),
      async stop() {
        if (child.exitCode === null && child.signalCode === null) {
          const gone = new Promise((resolve) => child.once("exit", resolve));
          child.kill("SIGTERM");
          const hard = setTimeout(() => child.kill("SIGKILL"), 5000);
          await gone;
          clearTimeout(hard);
        }
        discard();
      },
    };
  } catch (problem) {
    discard();
    throw problem;
  }
}

/** The address of a workbench; all paths are absolute paths on this machine. */
function workbenchUrl(port, token, { folder, workspace, open, dev, tests }) {
  const remote = (file) => `vscode-remote://localhost:${port}${file}`;
  const payload = [
    ["skipWelcome", "true"],
    ["skipReleaseNotes", "true"],
  ];
  if (open) payload.push(["openFile", remote(open)]);
  if (dev) payload.push(["extensionDevelopmentPath", remote(dev)]);
  if (tests) payload.push(["extensionTestsPath", remote(tests)]);
  const query = new URLSearchParams();
  if (token) query.set("tkn", token);
  if (folder) query.set("folder", folder);
  else if (workspace) query.set("workspace", workspace);
  else query.set("ew", "true");
  query.set("payload", JSON.stringify(payload));
  return `http://localhost:${port}/?${query}`;
}

/** The port, once the server says that it listens. */
function listening(child, output) {
  return new Promise((resolve, reject) => {
    const fail = (why) => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      reject(new Error(`the workbench server ${why}:\n${output()}`));
    };
    const timer = setTimeout(() => fail("did not start within 30 s"), 30_000);
    child.once("error", (problem) => fail(`could not be started (${problem.message})`));
    child.once("exit", (status) => fail(`ended with ${status}`));
    child.stdout.on("data", () => {
      const port = /Extension host agent listening on (\d+)/.exec(output())?.[1];
      if (port === undefined) return;
      clearTimeout(timer);
      resolve(Number(port));
    });
  });
}

/** A terminal inside VS Code sets variables that would send the server down another path. */
function childEnvironment(extra) {
  const inherited = Object.entries(process.env).filter(
    ([key]) => !key.startsWith("VSCODE_") && key !== "ELECTRON_RUN_AS_NODE",
  );
  // An empty gallery keeps the workbench from asking a marketplace that may not be reachable.
  return { ...Object.fromEntries(inherited), EXTENSIONS_GALLERY: "{}", ...extra };
}
