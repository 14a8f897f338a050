import type { DebugProtocol } from "@vscode/debugprotocol";
import { nodeSurroundings, Session } from "../../src/adapter";

type Event = DebugProtocol.Event & { readonly body: Record<string, unknown> };

/** A request that was refused: the adapter's sentence. */
export class Refused extends Error {}

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

  constructor() {
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
    if (!success) throw new Refused(text);
    return body as T;
  }

  /** The next event of this name, including one that came before it was asked for. */
  event(name: string): Promise<Event> {
    const at = this.unheard.findIndex((event) => event.event === name);
    const [early] = at < 0 ? [] : this.unheard.splice(at, 1);
    if (early) return Promise.resolve(early);
    return new Promise((resolve) => this.listeners.push({ name, resolve }));
  }

  /** Launches and configures; resolves at the stop on entry, or at once without it. */
  async launch(args: object, configure: () => Promise<void> = async () => {}): Promise<void> {
    await this.request("initialize", { adapterID: "penumbra" });
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

  async step(command: "next" | "stepIn" | "stepOut", granularity = "statement") {
    await this.request(command, { threadId: 1, granularity });
    return this.stopped();
  }

  async evaluate(expression: string, context = "watch"): Promise<string> {
    const frameId = await this.topFrame();
    const { result } = await this.request<{ result: string }>("evaluate", {
      expression,
      context,
      frameId,
    });
    return result;
  }

  async stack(): Promise<readonly DebugProtocol.StackFrame[]> {
    const body = await this.request<DebugProtocol.StackTraceResponse["body"]>("stackTrace", {
      threadId: 1,
    });
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
