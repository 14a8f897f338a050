import { isAbsolute, joinSource, type ResolveSource } from "../debug";
import type { Surroundings } from "./surroundings";

/**
 * Finds the person's copy of each source. Debug information may be relative to a directory nobody
 * recorded (the root of the repository it was built in), so each folder above the image is tried.
 */
export class SourcePaths {
  private readonly found = new Map<string, string>();

  constructor(
    private readonly imagePath: string,
    private readonly sourceMap: Readonly<Record<string, string>>,
  ) {}

  /** For the symbol reader: the recorded path until `settle` has found a better one. */
  readonly resolve: ResolveSource = (directory, name) => {
    const recorded = joinSource(directory, name);
    if (!this.found.has(recorded)) this.found.set(recorded, this.mapped(recorded));
    return this.found.get(recorded) ?? recorded;
  };

  /** Looks for every path asked for so far; afterwards `resolve` gives paths that exist, where any does. */
  async settle(surroundings: Surroundings): Promise<void> {
    for (const recorded of this.found.keys()) {
      for (const candidate of this.candidates(recorded)) {
        if (!(await surroundings.fileExists(candidate))) continue;
        this.found.set(recorded, candidate);
        break;
      }
    }
  }

  private candidates(recorded: string): string[] {
    const path = this.mapped(recorded);
    if (isAbsolute(path)) return [path];
    const folders = this.imagePath.replaceAll("\\", "/").split("/").slice(0, -1);
    return folders.map((_, i) => `${folders.slice(0, folders.length - i).join("/")}/${path}`);
  }

  /** The longest prefix of the source map wins. */
  private mapped(path: string): string {
    const prefix = Object.keys(this.sourceMap)
      .filter((from) => path === from || path.startsWith(from.endsWith("/") ? from : `${from}/`))
      .sort((a, b) => b.length - a.length)[0];
    if (prefix === undefined) return path;
    return joinSource(this.sourceMap[prefix] ?? "", path.slice(prefix.length).replace(/^\//, ""));
  }
}
