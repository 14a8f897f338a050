// The extension-host suite in a desktop VS Code, for machines that can have one.
//   npm run test:electron                       downloads VS Code
//   VSCODE_EXECUTABLE=/path npm run test:electron    uses that one and downloads nothing
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { runTests } from "@vscode/test-electron";

const root = fileURLToPath(new URL("..", import.meta.url));
const results = path.join(root, "test-output/electron.json");
mkdirSync(path.dirname(results), { recursive: true });
rmSync(results, { force: true });
const executable = process.env.VSCODE_EXECUTABLE;
try {
  await runTests({
    ...(executable ? { vscodeExecutablePath: executable } : {}),
    version: process.env.VSCODE_VERSION ?? "stable",
    extensionDevelopmentPath: root,
    extensionTestsPath: path.join(root, "out/test/editor/ext/run.main.js"),
    extensionTestsEnv: { PENUMBRA_TEST_RESULTS: results },
    launchArgs: [
      path.join(root, "media/samples/samples.code-workspace"),
      ...["--disable-extensions", "--disable-workspace-trust", "--disable-telemetry"],
    ],
  });
} catch (problem) {
  console.error(String(problem?.message ?? problem));
  process.exitCode = 1;
}
try {
  const { passed, failed, text } = JSON.parse(readFileSync(results, "utf8"));
  console.log(`${text}\n${passed} passed, ${failed} failed`);
} catch {
  console.error("VS Code ran no test.");
  process.exitCode = 1;
}
