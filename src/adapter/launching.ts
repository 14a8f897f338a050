import type { DebugProtocol } from "@vscode/debugprotocol";
import { Symbols } from "../debug";
import type { Client } from "./client";
import { Debuggee } from "./debuggee";
import { type LaunchArguments, machineOptions, readLaunchArguments } from "./launch";
import { Refusal, refusals } from "./refusal";
import { SourcePaths } from "./source-paths";
import type { Surroundings } from "./surroundings";

/** Reads and checks everything, then builds the machine. Nothing is allocated for a bad configuration. */
export async function launch(
  raw: Readonly<Record<string, unknown>>,
  client: Client,
  surroundings: Surroundings,
  send: (event: DebugProtocol.Event) => void,
): Promise<Debuggee | Refusal> {
  const args = readLaunchArguments(raw);
  if (typeof args === "string") return refusals.launch(args);
  const image = await read(args.program, "program", surroundings);
  if (image instanceof Refusal) return image;
  const initrd = args.initrd ? await read(args.initrd, "initrd", surroundings) : undefined;
  if (initrd instanceof Refusal) return initrd;
  const symbols = await readSymbols(args, image, surroundings);
  if (symbols instanceof Refusal) return symbols;
  const options = machineOptions(args, image, initrd);
  return Debuggee.create({ args, options, symbols, client, surroundings, send });
}

async function read(
  path: string,
  key: string,
  surroundings: Surroundings,
): Promise<Uint8Array | Refusal> {
  try {
    return await surroundings.readFile(path);
  } catch (problem) {
    const reason = problem instanceof Error ? problem.message : String(problem);
    return refusals.launch(`Cannot read ${path}: ${reason}. Check "${key}" in launch.json.`);
  }
}

async function readSymbols(
  args: LaunchArguments,
  image: Uint8Array,
  surroundings: Surroundings,
): Promise<Symbols | Refusal> {
  const files = [{ bytes: image, name: args.program, base: 0n }];
  for (const { file, base = 0 } of args.symbols) {
    const bytes = await read(file, "symbols", surroundings);
    if (bytes instanceof Refusal) return bytes;
    files.push({ bytes, name: file, base: BigInt(base) });
  }
  const paths = new SourcePaths(args.program, args.sourceMap);
  const load = (): Symbols => {
    const symbols = new Symbols(paths.resolve);
    for (const { bytes, name, base } of files) symbols.load(bytes, name, base);
    return symbols;
  };
  // The first reading tells which sources there are, the second uses the paths found for them.
  load();
  await paths.settle(surroundings);
  return load();
}
