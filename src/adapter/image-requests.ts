import type { DebugProtocol } from "@vscode/debugprotocol";
import type { Debuggee } from "./debuggee";
import { type Refusal, refusals } from "./refusal";

export function modules(debuggee: Debuggee): DebugProtocol.ModulesResponse["body"] {
  const list = debuggee.symbols.images.map((image, id) => ({
    id,
    name: image.name.split("/").at(-1) ?? image.name,
    path: image.name,
    symbolStatus: image.problems.length === 0 ? "read" : image.problems.join(" "),
  }));
  return { modules: list, totalModules: list.length };
}

export function loadedSources(debuggee: Debuggee): DebugProtocol.LoadedSourcesResponse["body"] {
  return { sources: debuggee.symbols.sources.map(({ path }) => debuggee.source(path)) };
}

export function source(): Refusal {
  return refusals.unknownSource();
}

/** What the guest was stopped before, in words. */
export function exceptionInfo(
  debuggee: Debuggee,
): DebugProtocol.ExceptionInfoResponse["body"] | Refusal {
  const halt = debuggee.lastHalt;
  if (halt?.kind !== "event") return refusals.noException();
  const { name, fields } = halt.event;
  const details = Object.entries(fields)
    .map(
      ([field, value]) =>
        `${field} = ${typeof value === "bigint" || typeof value === "number" ? `0x${value.toString(16)}` : value}`,
    )
    .join("\n");
  return {
    exceptionId: name === "exception" && fields.vector === 14 ? "#PF" : name,
    description: halt.text,
    breakMode: "always",
    details: { message: halt.text, stackTrace: details },
  };
}
