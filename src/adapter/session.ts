import { DebugSession, Event, InitializedEvent, Response } from "@vscode/debugadapter";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { capabilities } from "./capabilities";
import type { Debuggee } from "./debuggee";
import { type Handler, handlers } from "./handlers";
import { launch } from "./launching";
import { Refusal, refusals } from "./refusal";
import type { Surroundings } from "./surroundings";

/** Requests that make sense while the guest runs; all others need it stopped. */
const WHILE_RUNNING = new Set([
  "threads",
  "pause",
  "setBreakpoints",
  "setFunctionBreakpoints",
  "setExceptionBreakpoints",
  "setInstructionBreakpoints",
  "breakpointLocations",
  "modules",
  "loadedSources",
  "penumbra/tree",
]);

/**
 * One debug session over any message channel: inline in the editor's worker, stdio, a socket, or a
 * test. Order on the wire: a request's response first, then the events it caused.
 */
export class Session extends DebugSession {
  private debuggee: Debuggee | undefined;
  private configured: (() => void) | undefined;
  /** Events raised while a request is being served; they follow its response. */
  private held: DebugProtocol.Event[] | undefined;
  private readonly isConfigured = new Promise<void>((resolve) => {
    this.configured = resolve;
  });

  constructor(private readonly surroundings: Surroundings) {
    super();
  }

  protected override dispatchRequest(request: DebugProtocol.Request): void {
    this.held = [];
    let outcome: unknown;
    try {
      outcome = this.serve(request);
    } catch (problem) {
      outcome = bug(request.command, problem);
    }
    const held = this.held;
    this.held = undefined;
    if (!(outcome instanceof Promise)) {
      this.answer(request, outcome, held);
      return;
    }
    void outcome
      .catch((problem: unknown) => bug(request.command, problem))
      .then((result) => this.answer(request, result, held));
  }

  override sendEvent(event: DebugProtocol.Event): void {
    if (this.held) this.held.push(event);
    else super.sendEvent(event);
  }

  /** The channel closed: nothing is left to tell, so let go of the machine. */
  override shutdown(): void {
    this.end();
  }

  private serve(request: DebugProtocol.Request): unknown {
    const { command } = request;
    const args: unknown = request.arguments ?? {};
    const own = this.lifecycle[command];
    if (own) return own(args as Record<string, unknown>);
    const handler: Handler | undefined = handlers[command];
    if (!handler) return refusals.unknownRequest(command);
    if (!this.debuggee) return refusals.notLaunched(command);
    if (this.debuggee.runner.running && !WHILE_RUNNING.has(command))
      return refusals.running(command);
    return handler(this.debuggee, args as never);
  }

  private readonly lifecycle: Readonly<Record<string, (args: Record<string, unknown>) => unknown>> =
    {
      initialize: () => capabilities,
      launch: async (args) => {
        const result = await launch(args, this.surroundings, (event) => this.sendEvent(event));
        if (result instanceof Refusal) return result;
        this.debuggee = result;
        // Breakpoints can be placed only now that the images are read, so only now are they asked for.
        super.sendEvent(new InitializedEvent());
        void this.isConfigured.then(() => this.debuggee?.begin());
        return {};
      },
      configurationDone: () => {
        this.configured?.();
        return {};
      },
      attach: () => refusals.launch("Penumbra cannot attach yet; use a launch configuration."),
      restart: () => {
        if (!this.debuggee) return refusals.notLaunched("restart");
        return this.debuggee.restart();
      },
      disconnect: () => this.end(),
      terminate: () => {
        this.end();
        this.sendEvent(new Event("terminated"));
        return {};
      },
      cancel: () => ({}),
    };

  private end(): unknown {
    this.debuggee?.dispose();
    this.debuggee = undefined;
    return {};
  }

  private answer(
    request: DebugProtocol.Request,
    outcome: unknown,
    events: readonly DebugProtocol.Event[],
  ): void {
    const response = new Response(request) as DebugProtocol.Response;
    if (outcome instanceof Refusal) {
      response.success = false;
      response.message = outcome.text;
      response.body = { error: outcome.message() };
    } else {
      response.body = outcome;
    }
    this.sendResponse(response);
    for (const event of events) super.sendEvent(event);
  }
}

function bug(command: string, problem: unknown): Refusal {
  return refusals.internal(command, problem instanceof Error ? problem.message : String(problem));
}
