import assert from "node:assert/strict";
import type { DebugProtocol } from "@vscode/debugprotocol";
import {
  nodeSurroundings,
  Session,
  type TreeArguments,
  type TreeResponse,
  type ViewName,
} from "../../src/adapter";
import type { Machine } from "../../src/machine";

type Breakpoints = DebugProtocol.SetBreakpointsResponse["body"];
type StackTrace = Required<DebugProtocol.StackTraceResponse["body"]>;
type ReadMemory = NonNullable<DebugProtocol.ReadMemoryResponse["body"]>;
type Event = DebugProtocol.Event & { readonly body: Record<string, unknown> };

/** A request that was refused: the adapter's sentence, with its number. */
export class Refused extends Error {
  constructor(
    text: string | undefined,
    readonly id: number | undefined,
    readonly body: { readonly error?: DebugProtocol.Message } | undefined,
  ) {
    super(text);
  }
}

/** A client of the adapter in this very process: requests as promises, events in order. */
export class Client {
  private readonly session = new Session(nodeSurroundings);
  private readonly waiting = new Map<number, (response: DebugProtocol.Response) => void>();
  private readonly unheard: Event[] = [];
  private listeners: { readonly name: string; readonly resolve: (event: Event) => void }[] = [];
  /** Every message in the order it came, by kind and name. */
  readonly wire: string[] = [];
  output = "";
  private seq = 1;

  /** `said`: what the client says of itself besides its name. */
  constructor(private readonly said: Partial<DebugProtocol.InitializeRequestArguments> = {}) {
    this.session.setRunAsServer(true);
    this.session.onDidSendMessage((message) =>
      this.receive(message as DebugProtocol.ProtocolMessage),
    );
  }

  /** The body of the response; rejects with `Refused` when it was refused. */
  async request<T = Record<string, never>>(command: string, args: object = {}): Promise<T> {
    const seq = this.seq++;
    const response = new Promise<DebugProtocol.Response>((resolve) =>
      this.waiting.set(seq, resolve),
    );
    const message = { seq, type: "request", command, arguments: args };
    this.session.handleMessage(message as DebugProtocol.Request);
    const { success, message: text, body } = await response;
    if (!success) throw new Refused(text, body?.error?.id, body);
    return body as T;
  }

  /** The refusal of a request that must not be served. */
  async refused(command: string, args: object = {}): Promise<Refused> {
    const outcome = await this.request(command, args).catch((problem: unknown) => problem);
    assert.ok(outcome instanceof Refused, `${command} was served: ${JSON.stringify(outcome)}`);
    return outcome;
  }

  /** The next event of this name, including one that came before it was asked for. */
  event(name: string): Promise<Event> {
    const at = this.unheard.findIndex((event) => event.event === name);
    const [early] = at < 0 ? [] : this.unheard.splice(at, 1);
    if (early) return Promise.resolve(early);
    return new Promise((resolve) => this.listeners.push({ name, resolve }));
  }

  /** Launches and configures; resolves at the stop on entry, or at once without it. */
  async launch(args: object, configure: () => Promise<unknown> = async () => {}): Promise<void> {
    await this.request("initialize", { adapterID: "penumbra", ...this.said });
    await this.request("launch", args);
    await this.event("initialized");
    await configure();
    await this.request("configurationDone");
  }

  async stopped(): Promise<DebugProtocol.StoppedEvent["body"]> {
    return (await this.event("stopped")).body as DebugProtocol.StoppedEvent["body"];
  }

  /** Continues and waits for the next stop. */
  async go(): Promise<DebugProtocol.StoppedEvent["body"]> {
    await this.request("continue", { threadId: 1 });
    return this.stopped();
  }

  async step(command: "next" | "stepIn" | "stepOut", granularity = "statement", threadId = 1) {
    await this.request(command, { threadId, granularity });
    return this.stopped();
  }

  /** Sets these function breakpoints in place of all others. */
  async functions(...names: readonly (string | DebugProtocol.FunctionBreakpoint)[]) {
    const breakpoints = names.map((name) => (typeof name === "string" ? { name } : name));
    const body = await this.request<Breakpoints>("setFunctionBreakpoints", { breakpoints });
    return body.breakpoints;
  }

  /** Sets these breakpoints in place of all others in a file. */
  async lines(path: string, ...lines: readonly (number | DebugProtocol.SourceBreakpoint)[]) {
    const breakpoints = lines.map((line) => (typeof line === "number" ? { line } : line));
    const body = await this.request<Breakpoints>("setBreakpoints", {
      source: { path },
      breakpoints,
    });
    return body.breakpoints;
  }

  /** Sets these exception filters in place of all others: names, or names with conditions. */
  async filters(...filters: readonly (string | DebugProtocol.ExceptionFilterOptions)[]) {
    const body = await this.request<Breakpoints>("setExceptionBreakpoints", {
      filters: filters.filter((f) => typeof f === "string"),
      filterOptions: filters.filter((f) => typeof f !== "string"),
    });
    return body.breakpoints;
  }

  /** Runs to where a function's body begins. */
  async runTo(name: string): Promise<void> {
    await this.functions(name);
    assert.equal((await this.go()).reason, "breakpoint");
    await this.functions();
  }

  async scopes(): Promise<readonly DebugProtocol.Scope[]> {
    const frameId = await this.topFrame();
    return (await this.request<DebugProtocol.ScopesResponse["body"]>("scopes", { frameId })).scopes;
  }

  async variables(variablesReference: number, more: object = {}) {
    const body = await this.request<DebugProtocol.VariablesResponse["body"]>("variables", {
      variablesReference,
      ...more,
    });
    return body.variables;
  }

  /** The rows of a scope of the innermost frame. */
  async scope(name: string): Promise<readonly DebugProtocol.Variable[]> {
    const scope = (await this.scopes()).find((s) => s.name === name);
    assert.ok(scope, `there is no scope ${name}`);
    return this.variables(scope.variablesReference);
  }

  read(memoryReference: string, count: number, offset?: number) {
    return this.request<ReadMemory>("readMemory", {
      memoryReference,
      count,
      ...(offset === undefined ? {} : { offset }),
    });
  }

  tree(view: ViewName, args: Partial<TreeArguments> = {}): Promise<TreeResponse> {
    return this.request<TreeResponse>("penumbra/tree", { view, ...args });
  }

  async evaluate(expression: string, context = "watch"): Promise<string> {
    return (await this.evaluated(expression, { context })).result;
  }

  /** The whole answer, in the innermost frame. */
  async evaluated(expression: string, more: object = {}) {
    const frameId = await this.topFrame();
    return this.request<DebugProtocol.EvaluateResponse["body"]>("evaluate", {
      expression,
      frameId,
      ...more,
    });
  }

  async stack(threadId = 1): Promise<readonly DebugProtocol.StackFrame[]> {
    const body = await this.request<StackTrace>("stackTrace", { threadId });
    return body.stackFrames;
  }

  /** `demand-paging.c:30 demand_paging` of the innermost frame. */
  async where(): Promise<string> {
    const [top] = await this.stack();
    return `${top?.source?.name}:${top?.line} ${top?.name}`;
  }

  private async topFrame(): Promise<number | undefined> {
    return (await this.stack())[0]?.id;
  }

  /** The machine itself, for what no request tells. */
  get machine(): Machine {
    const { debuggee } = this.session as unknown as { debuggee: { machine: Machine } };
    return debuggee.machine;
  }

  dispose(): void {
    this.session.shutdown();
  }

  private receive(message: DebugProtocol.ProtocolMessage): void {
    if (message.type === "response") {
      const response = message as DebugProtocol.Response;
      this.wire.push(`response ${response.command}`);
      this.waiting.get(response.request_seq)?.(response);
      this.waiting.delete(response.request_seq);
      return;
    }
    const event = message as Event;
    this.wire.push(`event ${event.event}`);
    if (event.event === "output") this.output += event.body.output;
    const at = this.listeners.findIndex(({ name }) => name === event.event);
    const [listener] = at < 0 ? [] : this.listeners.splice(at, 1);
    if (listener) listener.resolve(event);
    else this.unheard.push(event);
  }
}
