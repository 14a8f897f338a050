import type { Machine } from "../../machine";
import type { TraceEvent } from "../../x86";
import { underline } from "../expression/problem";
import type { Scope } from "../expression/scope";
import { nearest } from "../nearest";
import type { Symbols } from "../symbols/symbols";
import { type EventFilter, FILTERS, filterNamed } from "./catalogue";
import { type Conditions, type Gate, gateOf } from "./condition";
import { conditionFields, isOf } from "./event-fields";
import { type Access, type ParsedBreakpoint, parseBreakpoint, type Target } from "./grammar";
import { describeEvent } from "./sentence";
import { accessAllows, matches } from "./target-match";

/** A filter that a person ticked, with its condition. */
export interface FilterRequest extends Conditions {
  readonly id?: number;
  readonly filter: string;
}
/** A function breakpoint: the grammar's text, or a symbol. */
export interface FunctionRequest extends Conditions {
  readonly id: number;
  readonly name: string;
}

/** What became of a request. */
export interface Verdict {
  readonly verified: boolean;
  /** What is wrong, with carets under the place when it is in a text. */
  readonly message?: string;
  /** For a symbol or a pattern: where to stop. The code breakpoint is the caller's to set. */
  readonly addresses: readonly bigint[];
}

interface Armed {
  readonly id: number | undefined;
  readonly filters: readonly EventFilter[];
  readonly targets: readonly Target[];
  readonly access?: Access;
  readonly gate: Gate;
  /** The change last counted: one change may be announced in two ways. */
  lastChange?: string;
}

interface Attachment {
  readonly machine: Machine;
  readonly symbols: Symbols;
  readonly log: (text: string) => void;
}

/** The breakpoints on events. It listens to a machine's trace and stops the machine where one holds. */
export class BreakpointSet {
  private filters: readonly Armed[] = [];
  private functions: readonly Armed[] = [];
  private listeners: (() => void)[] = [];
  private at: Attachment | undefined;
  private hits: number[] = [];

  /**
   * Listens to this machine from now on, and to no other; hits are counted from the start. `log`
   * takes what log messages say.
   */
  attach(machine: Machine, symbols: Symbols, log: (text: string) => void): void {
    this.at = { machine, symbols, log };
    for (const breakpoint of [...this.filters, ...this.functions]) {
      breakpoint.gate.recount();
      delete breakpoint.lastChange;
    }
    this.listen();
  }

  dispose(): void {
    for (const stop of this.listeners) stop();
    this.listeners = [];
  }

  /** Ids of the breakpoints that have asked for a stop since the last call. */
  takeHits(): readonly number[] {
    const { hits } = this;
    this.hits = [];
    return hits;
  }

  /** Replaces the filters. */
  setFilters(requests: readonly FilterRequest[]): readonly Verdict[] {
    const armed: Armed[] = [];
    const verdicts = requests.map((request): Verdict => {
      const filter = filterNamed(request.filter);
      if (!filter) return failed(unknownFilter(request.filter));
      const gate = gateOf(request);
      if ("problem" in gate) return failed(underline(gate.text, gate.problem));
      armed.push({ id: request.id, filters: [filter], targets: [], gate });
      return { verified: true, addresses: [] };
    });
    this.filters = armed;
    this.listen();
    return verdicts;
  }

  /** Replaces the function breakpoints. Those on symbols come back with addresses for the caller. */
  setFunctions(requests: readonly FunctionRequest[]): readonly Verdict[] {
    const armed: Armed[] = [];
    const verdicts = requests.map((request): Verdict => {
      const parsed = parseBreakpoint(request.name);
      if ("problem" in parsed) return failed(underline(request.name, parsed.problem));
      if (parsed.kind !== "event") return this.onCode(parsed);
      const gate = gateOf(request, parsed.condition ? [parsed.condition] : []);
      if ("problem" in gate) return failed(underline(gate.text, gate.problem));
      const { filters, targets, access } = parsed;
      armed.push({ id: request.id, filters, targets, gate, ...(access ? { access } : {}) });
      return { verified: true, addresses: [] };
    });
    this.functions = armed;
    this.listen();
    return verdicts;
  }

  private onCode(parsed: ParsedBreakpoint & { readonly kind: "symbol" | "pattern" }): Verdict {
    const symbols = this.at?.symbols;
    if (parsed.kind === "symbol") {
      const address = symbols?.breakAddress(parsed.name);
      if (address !== undefined) return { verified: true, addresses: [address] };
      const near = nearest(parsed.name, symbols?.names() ?? []);
      return failed(`There is no symbol ${parsed.name}${near ? `; did you mean ${near}?` : "."}`);
    }
    const addresses = symbols?.functionsMatching(parsed.pattern) ?? [];
    return addresses.length > 0
      ? { verified: true, addresses }
      : failed(`No function's name matches ${parsed.pattern}.`);
  }

  /** Only what some breakpoint wants is listened to: the engine builds no event that nobody hears. */
  private listen(): void {
    this.dispose();
    const { at } = this;
    if (!at) return;
    const filters = [...this.filters, ...this.functions].flatMap((b) => b.filters);
    for (const name of new Set(filters.flatMap((f) => f.events)))
      this.listeners.push(at.machine.trace.on(name, (event) => this.heard(at, event)));
  }

  private heard({ machine, symbols, log }: Attachment, event: TraceEvent): void {
    let fields: Scope["fields"];
    for (const breakpoint of [...this.functions, ...this.filters]) {
      const filter = breakpoint.filters.find((f) => isOf(f, event));
      if (!filter || !accessAllows(breakpoint.access, filter)) continue;
      fields ??= conditionFields(machine, event);
      const scope: Scope = { machine, symbols, vcpu: event.stamp.vcpu, fields };
      if (!matches(filter, breakpoint.targets, scope, fields)) continue;
      if (isRepeated(breakpoint, event, fields)) continue;
      const decision = breakpoint.gate.decide(scope);
      if (decision.kind === "log") log(decision.text);
      if (decision.kind !== "stop") continue;
      if (breakpoint.id !== undefined) this.hits.push(breakpoint.id);
      machine.requestStop(event, decision.text ?? describeEvent(machine, event));
    }
  }
}

/** A changed spte is announced as an update and as a set: the second of the two is no second hit. */
function isRepeated(
  breakpoint: Armed,
  event: TraceEvent,
  fields: NonNullable<Scope["fields"]>,
): boolean {
  if (fields.sptep === undefined || fields.new === undefined) return false;
  const change = `${event.stamp.tick} ${fields.sptep} ${fields.new}`;
  const repeated = breakpoint.lastChange === change;
  breakpoint.lastChange = change;
  return repeated;
}

const failed = (message: string): Verdict => ({ verified: false, message, addresses: [] });

function unknownFilter(name: string): string {
  const ids = FILTERS.map((filter) => filter.id);
  const near = nearest(name, ids);
  return `There is no filter ${name}${near ? `; did you mean ${near}?` : "."}`;
}
