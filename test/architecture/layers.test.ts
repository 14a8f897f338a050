import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { builtinModules } from "node:module";
import { resolveImport, type SourceFile, sourceFiles } from "./source-files";

/** Lowest first: a room may import from itself and from any room before it. */
const rooms = ["x86", "host", "kvm", "machine", "debug", "adapter"];
/** Rooms nobody imports, and what each may import: `adapter/protocol` is one file of a room. */
const leaves: Readonly<Record<string, readonly string[]>> = {
  extension: ["adapter"],
  webview: ["adapter/protocol"],
  cli: rooms,
};
/** Rooms that run anywhere: no Node, DOM, clock, random, locale or environment. */
const pure = ["x86", "host", "kvm", "machine", "debug"];
const impure =
  /\b(Date\.now|new Date|performance\.now|Math\.random|(?<![.\w])process\.(env|argv|cwd|exit|hrtime|platform|memoryUsage|nextTick|std\w+)|setTimeout|setInterval|navigator\.|document\.|toLocale\w+)/;

const roomOf = (file: string): string => file.split("/")[1] ?? "";

function mayImport(from: string, to: string, target: string): boolean {
  if (from === to) return true;
  const allowed = leaves[from];
  if (allowed)
    return (
      allowed.includes(to) || allowed.includes(`${to}/${target.split("/")[2]?.replace(".ts", "")}`)
    );
  return rooms.includes(to) && rooms.indexOf(to) < rooms.indexOf(from);
}

/** Imports that break a rule, each as a sentence with the chain. */
function wrongArrows(files: readonly SourceFile[]): string[] {
  const known = new Set(files.map((f) => f.file));
  const wrong: string[] = [];
  for (const { file, imports } of files) {
    const from = roomOf(file);
    for (const specifier of imports) {
      const target = resolveImport(file, specifier, known);
      if (target === undefined) {
        const name = specifier.replace(/^node:/, "").split("/")[0] ?? "";
        if (specifier.startsWith(".")) wrong.push(`${file} → ${specifier} (no such file)`);
        if (pure.includes(from) && builtinModules.includes(name))
          wrong.push(`${file} → ${specifier} (${from} may not know Node)`);
        if (specifier === "vscode" && from !== "extension")
          wrong.push(`${file} → vscode (only extension may)`);
        if (from === "adapter" && ["net", "worker_threads", "child_process"].includes(name))
          wrong.push(`${file} → ${specifier} (adapter may not know sockets or threads)`);
        continue;
      }
      const to = roomOf(target);
      if (!mayImport(from, to, target))
        wrong.push(`${file} → ${target} (${from} may not know ${to})`);
      else if (from !== to && !target.endsWith("/index.ts") && target !== "src/adapter/protocol.ts")
        wrong.push(`${file} → ${target} (go through src/${to}/index.ts)`);
    }
  }
  return wrong;
}

/** The first import cycle found, as the list of its files. */
function cycle(files: readonly SourceFile[]): string[] {
  const known = new Set(files.map((f) => f.file));
  const edges = new Map(
    files.map(({ file, imports }) => [
      file,
      imports.map((i) => resolveImport(file, i, known)).filter((t): t is string => t !== undefined),
    ]),
  );
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const next of edges.get(file) ?? []) {
      const found = visit(next, [...path, file]);
      if (found.length > 0) return found;
    }
    done.add(file);
    return [];
  };
  for (const { file } of files) {
    const found = visit(file, []);
    if (found.length > 0) return found;
  }
  return [];
}

describe("architecture", () => {
  const files = sourceFiles("src");

  it("each folder of src is a room of the table, and each room but webview exists", () => {
    const folders = readdirSync("src").sort();
    const known = [...rooms, ...Object.keys(leaves)];
    assert.deepEqual(
      folders.filter((f) => !known.includes(f)),
      [],
    );
    assert.deepEqual(
      known.filter((r) => !folders.includes(r) && r !== "webview"),
      [],
    );
  });

  it("imports go only to a room below, through its index", () => {
    assert.deepEqual(wrongArrows(files), []);
  });

  it("there is no import cycle", () => {
    assert.deepEqual(cycle(files), []);
  });

  it("the engine's rooms read no clock, no random numbers and no environment", async () => {
    const { readFileSync } = await import("node:fs");
    const guilty = files
      .filter((f) => pure.includes(roomOf(f.file)))
      .flatMap((f) =>
        readFileSync(f.file, "utf8")
          .split("\n")
          .map((line, i) => ({
            where: `${f.file}:${i + 1}`,
            line: line.replace(/\/\/.*|^\s*\*.*/, ""),
          }))
          .filter(({ line }) => impure.test(line))
          .map(({ where, line }) => `${where}: ${line.trim()}`),
      );
    assert.deepEqual(guilty, []);
  });

  it("notices a wrong arrow, a missing file and a cycle", () => {
    const file = (name: string, ...imports: string[]): SourceFile => ({
      file: name,
      lines: 1,
      firstLine: "",
      imports,
    });
    const bad = [
      file("src/kvm/a.ts", "../debug", "./gone"),
      file("src/debug/index.ts"),
      file("src/x86/b.ts", "node:fs"),
    ];
    assert.deepEqual(wrongArrows(bad), [
      "src/kvm/a.ts → src/debug/index.ts (kvm may not know debug)",
      "src/kvm/a.ts → ./gone (no such file)",
      "src/x86/b.ts → node:fs (x86 may not know Node)",
    ]);
    assert.deepEqual(cycle([file("src/x86/a.ts", "./b"), file("src/x86/b.ts", "./a")]), [
      "src/x86/a.ts",
      "src/x86/b.ts",
      "src/x86/a.ts",
    ]);
  });
});
