import { nearest } from "../debug";
import { RUN_OPTIONS } from "./arguments";
import { type Console, STATUS } from "./console";
import { dap } from "./dap";
import { run } from "./run";

/** A verb of the command line: its words after the verb in, the exit status out. */
type Command = (words: readonly string[], console: Console) => number | Promise<number>;

interface Verb {
  readonly usage: string;
  readonly run: Command;
}

/** Every verb, in the order of the help. */
const VERBS: Readonly<Record<string, Verb>> = {
  run: { usage: "run GUEST [options]", run },
  dap: { usage: "dap [--port N]", run: dap },
  help: { usage: "help", run: help },
};

/** Carries out a command line; `version` is what `--version` prints. */
export function dispatch(
  words: readonly string[],
  console: Console,
  version: string,
): number | Promise<number> {
  const [verb = "help", ...rest] = words;
  if (verb === "--version") {
    console.print(version);
    return STATUS.ok;
  }
  const command = VERBS[verb === "--help" || verb === "-h" ? "help" : verb];
  if (command) return command.run(rest, console);
  const near = nearest(verb, Object.keys(VERBS));
  console.error(
    `penumbra: there is no command ${verb}${near ? `; did you mean ${near}?` : ": see penumbra help"}`,
  );
  return STATUS.badInput;
}

function help(_words: readonly string[], console: Console): number {
  console.print("A debugger for paging structures, without the editor.");
  console.print("");
  for (const { usage } of Object.values(VERBS)) console.print(`  penumbra ${usage}`);
  console.print("  penumbra --version");
  console.print("");
  console.print("Options of run:");
  for (const [name, { value, help: text }] of Object.entries(RUN_OPTIONS))
    console.print(`  --${value ? `${name} ${value}` : name}`.padEnd(28) + text);
  console.print("");
  console.print(
    "Status: (value << 1) | 1 from the debug-exit port, 0 power-off, 124 instruction limit,",
  );
  console.print("2 bad input, 3 the guest died, 70 a defect of Penumbra.");
  return STATUS.ok;
}
