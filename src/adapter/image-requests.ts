import type { DebugProtocol } from "@vscode/debugprotocol";
import type { Debuggee } from "./debuggee";
import { type Refusal, refusals } from "./refusal";
import { sourceOf } from "./source-reference";

/** The images whose symbols are known: the guest and the files of `symbols`. */
export function modules(
  debuggee: Debuggee,
  { startModule = 0, moduleCount }: DebugProtocol.ModulesArguments,
): DebugProtocol.ModulesResponse["body"] {
  const all = debuggee.symbols.images.map(({ name, problems }, id) => ({
    id,
    name: sourceOf(name).name ?? name,
    path: name,
    symbolStatus: problems.length === 0 ? "read" : problems.join(" "),
  }));
  const end = moduleCount ? startModule + moduleCount : all.length;
  return { modules: all.slice(startModule, end), totalModules: all.length };
}

export function loadedSources(debuggee: Debuggee): DebugProtocol.LoadedSourcesResponse["body"] {
  return { sources: debuggee.symbols.sources.map(({ path }) => sourceOf(path)) };
}

/** All sources are files, which a client opens itself. */
export const source = (): Refusal => refusals.unknownSource();
