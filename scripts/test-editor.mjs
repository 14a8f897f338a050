// The editor suites, in the real workbench: test/editor/ext inside its extension host, then
// test/editor/ui driven through the page. Expects `npm run build` to have run.
//   node scripts/test-editor.mjs [--only ext|ui] [--grep TEXT] [--verbose] [--results FILE]
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import Mocha from "mocha";
import { launchBrowser } from "../test/editor/browser.mjs";
import { startServer } from "../test/editor/server.mjs";
import { stillSettings } from "../test/editor/settings.mjs";

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    grep: { type: "string" },
    results: { type: "string" },
    verbose: { type: "boolean", default: false },
  },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const output = path.join(root, "test-output");
const total = { passed: 0, failed: 0 };
mkdirSync(output, { recursive: true });

if (options.only !== "ui") count(await extensionHostSuite());
if (options.only !== "ext") count(await pageSuite());
console.log(`\n${total.passed} passed, ${total.failed} failed`);
if (options.results) writeFileSync(options.results, JSON.stringify(total));
process.exitCode = total.failed > 0 ? 1 : 0;

/** A suite that ran nothing failed, whatever it says. */
function count({ passed, failed }) {
  total.passed += passed;
  total.failed += passed + failed === 0 ? 1 : failed;
}

async function extensionHostSuite() {
  console.log("extension host");
  const resultsFile = path.join(output, "extension-host.json");
  rmSync(resultsFile, { force: true });
  let server;
  let browser;
  let status;
  try {
    // The extension host is a child of the server and inherits its environment.
    const env = {
      PENUMBRA_TEST_RESULTS: resultsFile,
      PENUMBRA_TEST_GREP: options.grep ?? "",
    };
    server = await startServer({ settings: stillSettings, env, log: logger() });
    browser = await launchBrowser();
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    status = await verdict(page, server);
  } catch (problem) {
    console.error(problem);
    if (server) console.error(server.output());
  } finally {
    await browser?.close();
    await server?.stop();
  }
  if (!existsSync(resultsFile)) {
    console.error("the extension host's suite wrote no results");
    return { passed: 0, failed: 1 };
  }
  const { passed, failed, text } = JSON.parse(readFileSync(resultsFile, "utf8"));
  console.log(text);
  // Neither the file nor the status is trusted over the other.
  return { passed, failed: failed === 0 && status !== 0 ? 1 : failed };
}

/** The status that the workbench reports through two globals it calls while tests run. */
async function verdict(page, server) {
  const limit = 180_000;
  let timer;
  const ended = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no verdict within ${limit} ms`)), limit);
    page.exposeFunction("codeAutomationExit", resolve).catch(reject);
    page
      .exposeFunction(
        "codeAutomationLog",
        (type, args) => options.verbose && console.error(type, ...args),
      )
      .catch(reject);
  });
  try {
    if (options.verbose) page.on("console", (message) => console.error("[page]", message.text()));
    await page.goto(
      server.url({
        workspace: path.join(root, "media/samples/samples.code-workspace"),
        dev: root,
        tests: path.join(root, "out/test/editor/ext/run.main.js"),
      }),
    );
    return await ended;
  } catch (problem) {
    await page.screenshot({ path: path.join(output, "extension-host-timeout.png") });
    throw problem;
  } finally {
    clearTimeout(timer);
  }
}

async function pageSuite() {
  console.log("\nworkbench");
  const mocha = new Mocha({
    ui: "bdd",
    timeout: 60_000,
    reporter: "spec",
    forbidOnly: true,
    ...(options.grep ? { grep: options.grep } : {}),
  });
  const folder = path.join(root, "test/editor/ui");
  for (const file of readdirSync(folder).sort()) {
    if (file.endsWith(".test.mjs")) mocha.addFile(path.join(folder, file));
  }
  await mocha.loadFilesAsync();
  return new Promise((resolve) => {
    const runner = mocha.run((failures) =>
      resolve({ passed: runner.stats.passes, failed: failures + runner.stats.pending }),
    );
  });
}

function logger() {
  return options.verbose ? (text) => process.stderr.write(text) : undefined;
}
