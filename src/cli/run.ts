import path from "node:path";
import { missingInstruction } from "../debug";
import { createMachine, type Machine, type StopReason } from "../machine";
import { parseRunArguments, type RunArguments } from "./arguments";
import { type Console, STATUS } from "./console";
import { lastState } from "./last-state";
import { statistics } from "./stats";
import { eventsOf, traceLine } from "./trace-output";

/** Runs a guest to its end; the process's exit status. */
export function run(words: readonly string[], console: Console): number {
  const parsed = parseRunArguments(words);
  if (typeof parsed === "string") return badInput(console, parsed);
  const built = build(parsed, console);
  if (typeof built === "string") return badInput(console, built);
  built.onOutput((bytes) => console.output(bytes));
  traceTo(built, parsed.trace, console);
  const started = console.now();
  const status = report(built, built.run(parsed.maxInstructions), console);
  if (parsed.stats) {
    const seconds = (console.now() - started) / 1000;
    console.error(JSON.stringify(statistics(built, seconds)));
  }
  return status;
}

function badInput(console: Console, text: string): number {
  console.error(`penumbra: ${text}`);
  return STATUS.badInput;
}

/** The machine, or one sentence that says why there is none. */
function build(args: RunArguments, console: Console): Machine | string {
  const image = console.readFile(args.guest);
  if ("problem" in image) return `${args.guest}: ${image.problem}`;
  const initrd = args.initrd === undefined ? undefined : console.readFile(args.initrd);
  if (initrd && "problem" in initrd) return `${args.initrd}: ${initrd.problem}`;
  const { memory, vcpus, mmu, era, check } = args;
  const created = createMachine({
    image,
    imageName: path.basename(args.guest),
    memory,
    vcpus,
    mmu,
    check,
    era,
    ...(args.append === undefined ? {} : { append: args.append }),
    ...(args.tdpMmu === undefined ? {} : { tdpMmu: args.tdpMmu }),
    ...(args.cpu === undefined ? {} : { cpu: args.cpu }),
    ...(args.backing === undefined ? {} : { backing: args.backing }),
    ...(args.hostMemory === undefined ? {} : { hostMemory: args.hostMemory }),
    ...(args.initrd === undefined || !initrd
      ? {}
      : { initrd: { name: path.basename(args.initrd), bytes: initrd } }),
  });
  return created.kind === "refused" ? created.text : created.machine;
}

/** Listens only to events that some pattern names: the others stay unbuilt. */
function traceTo(machine: Machine, patterns: readonly string[], console: Console): void {
  for (const name of eventsOf(patterns))
    machine.trace.on(name, (event) => console.error(traceLine(event)));
}

/** Says why the machine stopped and gives the status for it. */
function report(machine: Machine, reason: StopReason, console: Console): number {
  switch (reason.kind) {
    case "exit":
      return ((reason.value << 1) | 1) & 0xff;
    case "poweroff":
      return STATUS.ok;
    case "limit":
      console.error(`penumbra: stopped after ${machine.tick} instructions (--max-instructions)`);
      return STATUS.instructionLimit;
    case "shutdown":
      return died(machine, `the guest died on vcpu ${reason.vcpu}: ${reason.text}`, console);
    case "idle":
      return died(
        machine,
        "the guest halted for ever: no vCPU runs and nothing will wake one",
        console,
      );
    case "unimplemented": {
      const state = machine.vcpus[reason.vcpu]?.state;
      const text = state ? missingInstruction(reason.text, state) : reason.text;
      console.error(`penumbra: vcpu ${reason.vcpu}: ${text}`);
      printStates(machine, console);
      return STATUS.penumbraBug;
    }
    case "run-error":
      return died(machine, `vcpu ${reason.vcpu} cannot go on: ${reason.text}`, console);
    case "invariant":
      for (const violation of reason.violations) console.error(`penumbra: invariant: ${violation}`);
      printStates(machine, console);
      return STATUS.penumbraBug;
    case "breakpoint":
    case "event":
      throw new Error(`nobody asked for a ${reason.kind}`);
  }
}

function died(machine: Machine, text: string, console: Console): number {
  console.error(`penumbra: ${text}`);
  printStates(machine, console);
  return STATUS.guestDied;
}

function printStates(machine: Machine, console: Console): void {
  for (const vcpu of machine.vcpus)
    for (const line of lastState(machine, vcpu)) console.error(line);
}
