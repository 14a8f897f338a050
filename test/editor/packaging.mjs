// Makes the .vsix as `npx vsce package` does, once for all suites of a run.
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const output = path.join(root, "test-output");

let made;

/** The package's file and size in bytes, and all that vsce said while making it. */
export function packageExtension() {
  made ??= build();
  return made;
}

function build() {
  const file = path.join(output, "penumbra.vsix");
  mkdirSync(output, { recursive: true });
  rmSync(file, { force: true });
  const vsce = path.join(root, "node_modules/@vscode/vsce/vsce");
  const { status, stdout, stderr } = spawnSync(process.execPath, [vsce, "package", "-o", file], {
    cwd: root,
    encoding: "utf8",
  });
  const said = `${stdout}${stderr}`;
  if (status !== 0) throw new Error(`vsce package ended with ${status}:\n${said}`);
  return { file, said, size: statSync(file).size };
}
