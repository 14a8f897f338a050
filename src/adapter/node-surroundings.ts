import { access, readFile } from "node:fs/promises";
import type { Surroundings } from "./surroundings";

/** What a person would call the errors of opening a file. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  EISDIR: "it is a folder",
};

/** The adapter's surroundings in any Node program: the editor's worker, the command line, tests. */
export const nodeSurroundings: Surroundings = {
  async readFile(path) {
    try {
      return await readFile(path);
    } catch (problem) {
      const { code, message } = problem as NodeJS.ErrnoException;
      throw new Error(REASONS[code ?? ""] ?? message);
    }
  },
  fileExists: (path) =>
    access(path).then(
      () => true,
      () => false,
    ),
  defer: (work) => {
    setImmediate(work);
  },
};
