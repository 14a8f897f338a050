import type { DebugProtocol } from "@vscode/debugprotocol";

/** What the client said of itself in `initialize`; what it left out is as the specification has it. */
export class Client {
  private readonly lineBase: number;
  private readonly columnBase: number;
  private readonly optional: ReadonlyMap<string, boolean>;

  constructor(said: Partial<DebugProtocol.InitializeRequestArguments> = {}) {
    this.lineBase = said.linesStartAt1 === false ? 0 : 1;
    this.columnBase = said.columnsStartAt1 === false ? 0 : 1;
    this.optional = new Map([
      ["invalidated", said.supportsInvalidatedEvent === true],
      ["memory", said.supportsMemoryEvent === true],
    ]);
  }

  /** Some events are only for clients that said they know them. */
  hears(event: string): boolean {
    return this.optional.get(event) ?? true;
  }

  /** A line as the client counts. */
  line(own: number): number {
    return own - 1 + this.lineBase;
  }
  /** A line as debug information counts: from 1. */
  ownLine(theirs: number): number {
    return theirs + 1 - this.lineBase;
  }
  column(own: number): number {
    return own - 1 + this.columnBase;
  }
  ownColumn(theirs: number): number {
    return theirs + 1 - this.columnBase;
  }
}
