import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

/** A TypeScript source with the modules it imports, for the tests about structure. */
export interface SourceFile {
  /** Relative to the repository, with forward slashes. */
  readonly file: string;
  readonly lines: number;
  readonly firstLine: string;
  readonly imports: readonly string[];
}

const IMPORT =
  /^\s*(?:import|export)\b[^;"']*?from\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/gm;

export function sourceFiles(root: string): SourceFile[] {
  return readdirSync(root, { recursive: true })
    .map((file) => path.join(root, String(file)).replaceAll("\\", "/"))
    .filter((file) => file.endsWith(".ts"))
    .sort()
    .map((file) => {
      const text = readFileSync(file, "utf8");
      return {
        file,
        lines: text.split("\n").length - 1,
        firstLine: text.split("\n", 1)[0] ?? "",
        imports: [...text.matchAll(IMPORT)].map((m) => m[1] ?? m[2] ?? m[3] ?? ""),
      };
    });
}

/** The repository file an import names, or undefined for a package or a built-in module. */
export function resolveImport(
  from: string,
  specifier: string,
  known: ReadonlySet<string>,
): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const base = path.posix.normalize(path.posix.join(path.posix.dirname(from), specifier));
  return [`${base}.ts`, `${base}/index.ts`, base].find((candidate) => known.has(candidate));
}
