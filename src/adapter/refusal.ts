import type { DebugProtocol } from "@vscode/debugprotocol";

/** A request that cannot be done: what, where, what to do. Returned by handlers, never thrown. */
export class Refusal {
  constructor(
    /** Stable: clients and documentation may name it. */
    readonly id: number,
    readonly text: string,
    /** Only for what the person can mend: VS Code shows a dialog. */
    readonly showUser = false,
  ) {}

  message(): DebugProtocol.Message {
    // Braces would be read as variables of the format.
    return {
      id: this.id,
      format: "{text}",
      variables: { text: this.text },
      showUser: this.showUser,
      sendTelemetry: false,
    };
  }
}

/** One factory an error. Numbers are never reused. */
export const refusals = {
  unknownRequest: (command: string) =>
    new Refusal(1000, `Penumbra does not know the request "${command}".`),
  notLaunched: (command: string) =>
    new Refusal(1001, `"${command}" needs a machine: launch one first.`),
  running: (command: string) =>
    new Refusal(1002, `"${command}" needs a stopped machine: pause it first.`),
  ended: () => new Refusal(1003, "The guest has ended; restart the session to run it again."),
  internal: (command: string, problem: string) =>
    new Refusal(1004, `A bug in Penumbra while serving "${command}": ${problem}`),
  noThread: (id: number) => new Refusal(1005, `There is no thread ${id}: vCPU n is thread n + 1.`),
  noException: () => new Refusal(1006, "The last stop was not an event of the guest or the MMU."),
  alreadyLaunched: () =>
    new Refusal(
      1007,
      "This session has its machine already; restart it, or end the session first.",
    ),
  noCaller: () =>
    new Refusal(1008, "There is nothing to step out to: this is the outermost frame known."),
  over: () => new Refusal(1009, "The session ended before the machine was ready."),
  tooMuch: (what: string, most: number) =>
    new Refusal(1010, `${what} at once is too much; ask for at most ${most}.`),
  /** The machine's own reasons are lines of a terminal too, so the full stop is put here. */
  launch: (text: string) => new Refusal(1100, text.replace(/[^.?!]$/, "$&."), true),
  expression: (text: string) => new Refusal(1200, text),
  staleReference: () =>
    new Refusal(1201, "That value belongs to an earlier stop; open the scope again."),
  beyondSpace: (reference: string, offset: number) =>
    new Refusal(1303, `${reference} with offset ${offset} lies outside its address space.`),
  badReference: (reference: string) =>
    new Refusal(
      1300,
      `"${reference}" is not an address: use 0x…, gva:0x…, gpa:0x…, hva:0x… or hpa:0x….`,
    ),
  unwritable: (text: string) => new Refusal(1302, text),
  physicalCode: (reference: string, space: string) =>
    new Refusal(
      1304,
      `"${reference}" is ${space}: only guest virtual code is listed; use the gva that is mapped there.`,
    ),
  setVariable: (text: string) => new Refusal(1400, text),
  unknownView: (view: string) => new Refusal(1500, `There is no view "${view}".`),
  host: (text: string) => new Refusal(1700, text),
  unknownSource: () =>
    new Refusal(1600, "Penumbra has no text for that source; open the file instead."),
} as const;
