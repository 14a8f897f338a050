import type { DebugProtocol } from "@vscode/debugprotocol";

/** A source as clients name it: all sources are files, so the path is enough. */
export const sourceOf = (path: string): DebugProtocol.Source => ({
  name: path.split("/").at(-1) ?? path,
  path,
});
