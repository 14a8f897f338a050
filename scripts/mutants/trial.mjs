// Tries one mutant after the other in a tree of its own: first the tests, then the fuzzer.
import { spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import * as esbuild from "esbuild";

/** The quick specs of the engine. Those that drive it from further away would notice more, at a price. */
const TEST_FILES = ["test/golden", "test/kvm"].flatMap((folder) =>
  readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".test.ts") && !name.endsWith(".slow.test.ts"))
    .map((name) => `${folder}/${name}`)
    .sort(),
);

/** Runs spec files in the order of its arguments up to the first failure, which is its last line. */
const RUNNER = `
const { Mocha } = require("mocha");
const mocha = new Mocha({ bail: true, timeout: 60000, reporter: function () {} });
mocha.suite.emit("pre-require", globalThis, "", mocha);
for (const file of process.argv.slice(2))
  describe(file, () => require("./" + file.replace(/ts$/, "js")));
let begun = Date.now();
let failure;
const session = new (require("node:inspector").Session)();
if (process.env.REACHED) {
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.startPreciseCoverage", { callCount: false, detailed: false });
}
/** A function with a body, not one that hands out an export. */
const isCalled = ({ functionName, ranges: [{ count, startOffset, endOffset }] }) =>
  count > 0 && startOffset > 0 && endOffset - startOffset > functionName.length + 8;
/** Sources of which a function was called. */
function look() {
  const files = [];
  if (process.env.REACHED)
    session.post("Profiler.takePreciseCoverage", (_, { result }) => {
      for (const { url, functions } of result)
        if (url.includes("/src/kvm/") && functions.some(isCalled))
          files.push(url.replace(/^.*\\/(src\\/kvm\\/.*)js$/, "$1ts"));
    });
  return files;
}
mocha
  .run((failures) => {
    if (failure) console.log(JSON.stringify({ failure }));
    process.exit(failures > 0 ? 1 : 0);
  })
  .on("fail", (test, error) => (failure ??= [...test.titlePath(), error.message.slice(0, 200)]))
  .on("suite", (suite) => suite.parent?.root && (begun = Date.now()))
  .on("suite end", (suite) => {
    if (suite.parent?.root)
      console.log(JSON.stringify({ file: suite.title, ms: Date.now() - begun, reached: look() }));
  });
`;

/** Specs that are tried before all others. */
const LIKELIEST = 5;

/** Seconds of processor time, several times what is needed: a mutant that goes on for so long hangs. */
const LIMITS = { tests: 120, fuzz: 600 };

/** What noticed which mutant, and what takes how long, now and in earlier runs. */
export class History {
  constructor(file) {
    this.file = file;
    this.read();
  }
  read() {
    const none = { killers: {}, durations: {}, reached: {} };
    Object.assign(this, none, existsSync(this.file) && JSON.parse(readFileSync(this.file, "utf8")));
  }
  /** Another run may be adding to it at the same time. */
  change(by) {
    this.read();
    by(this);
    mkdirSync(path.dirname(this.file), { recursive: true });
    const { killers, durations, reached } = this;
    writeFileSync(this.file, JSON.stringify({ killers, durations, reached }));
  }
  add({ id, file }, test) {
    this.change(({ killers }) => {
      killers[id] = { file, test };
    });
  }
  /**
   * Spec files that call anything in the mutant's file: first what noticed it once, then what noticed others
   * in its file, then the quick ones.
   */
  order({ id, file }) {
    const kin = {};
    const kills = {};
    for (const each of Object.values(this.killers)) {
      kills[each.test] = (kills[each.test] ?? 0) + 1;
      if (each.file === file) kin[each.test] = (kin[each.test] ?? 0) + 1;
    }
    const own = this.killers[id]?.test;
    const worth = (test) =>
      (test === own ? 1e6 : 0) +
      (1000 *
        (10 * (kin[test] ?? 0) + (kills[test] ?? 0) + (test.startsWith("test/golden") ? 2 : 0.2))) /
        (50 + (this.durations[test] ?? 1000));
    const calling = TEST_FILES.filter((test) => this.reached[test]?.includes(file) ?? true);
    return (calling.length > 0 ? calling : [...TEST_FILES]).sort((a, b) => worth(b) - worth(a));
  }
}

/** The sources and the tests, each file translated by itself: only the one that changes is again. */
export class Trial {
  constructor(tree, history, fuzz) {
    this.tree = tree;
    this.history = history;
    this.fuzz = fuzz;
    for (const folder of ["src", "test"]) {
      cpSync(folder, path.join(tree, folder), { recursive: true });
      for (const name of readdirSync(folder, { recursive: true }))
        if (name.endsWith(".ts")) this.translate(`${folder}/${name}`);
    }
    writeFileSync(path.join(tree, "tests.js"), RUNNER);
    for (const folder of ["media", "node_modules"])
      symlinkSync(path.resolve(folder), path.join(tree, folder));
  }

  /** Puts the file into the tree, with one line changed if `mutant` says so. */
  translate(file, mutant) {
    const lines = readFileSync(file, "utf8").split("\n");
    if (mutant) lines[mutant.at] = mutant.changed;
    const { code } = esbuild.transformSync(lines.join("\n"), {
      loader: "ts",
      format: "cjs",
      target: "node20",
      logLevel: "silent",
    });
    writeFileSync(path.join(this.tree, file.replace(/ts$/, "js")), code);
  }

  /** What is noticed where nothing is changed, which should be nothing; and how long that takes. */
  async baseline() {
    const found = [];
    // One at a time: V8 tells of each function once.
    for (const file of TEST_FILES) {
      const run = await this.run(["tests.js", file], LIMITS.tests, { REACHED: "1" });
      if (!run.passed) return failureOf(run);
      found.push(...run.lines);
    }
    const fuzz = await this.runFuzz();
    if (!fuzz.passed) return fuzz.text.slice(0, 2000);
    this.history.change((history) => {
      for (const { file, ms, reached } of found) {
        history.durations[file] = ms;
        history.reached[file] = reached;
      }
    });
  }

  /** Who notices the mutant ("tests", "fuzz", nobody), and by what. */
  async of(mutant) {
    try {
      this.translate(mutant.file, mutant);
    } catch {
      return { noticed: "invalid", by: "no program" };
    }
    try {
      const order = this.history.order(mutant);
      // Most are noticed at once: the other specs need not even be loaded.
      for (const some of [order.slice(0, LIKELIEST), order.slice(LIKELIEST)]) {
        const tests = await this.run(["tests.js", ...some], LIMITS.tests);
        if (tests.passed) continue;
        const done = tests.lines.filter(({ file }) => file).length;
        const failure = tests.lines.find((line) => line.failure)?.failure;
        this.history.add(mutant, failure?.[0] ?? some[Math.min(done, some.length - 1)]);
        return { noticed: "tests", by: failureOf(tests) };
      }
      if (!this.fuzz) return {};
      const fuzz = await this.runFuzz();
      if (!fuzz.passed) return { noticed: "fuzz", by: fuzz.text.split("\n")[0] };
      return {};
    } finally {
      this.translate(mutant.file);
    }
  }

  runFuzz() {
    return this.run(["test/fuzz/fuzz.main.js", ...this.fuzz, "--unshrunk"], LIMITS.fuzz);
  }

  run(words, limit, env = {}) {
    return new Promise((resolve) => {
      const limited = ["-c", `ulimit -t ${limit}; exec "$0" "$@"`, process.execPath, ...words];
      const child = spawn("sh", limited, {
        cwd: this.tree,
        env: { ...process.env, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let text = "";
      child.stdout.on("data", (data) => (text += data));
      child.stderr.on("data", (data) => (text += data));
      child.on("close", (code) => {
        const lines = text.split("\n").flatMap((line) => {
          try {
            return line.startsWith("{") ? [JSON.parse(line)] : [];
          } catch {
            return [];
          }
        });
        resolve({ passed: code === 0, text, lines });
      });
    });
  }
}

const failureOf = ({ lines, text }) =>
  lines
    .find((line) => line.failure)
    ?.failure.join(" > ")
    .split("\n")[0] ??
  `no result; the end of what it said: ${JSON.stringify(text.trim().slice(-200))}`;
