/**
 * The trace: one ordered stream of typed events, many readers (breakpoints, views, the timeline,
 * `--trace`, golden tests). Each room declares its own events as a map from name to fields; the
 * names are KVM's tracepoint names where one exists.
 */
export type FieldValue = number | bigint | string | boolean | undefined;

/** Who and when: put on each event as it is announced. */
export interface Stamp {
  readonly vcpu: number;
  readonly rip: bigint;
  /** Instructions retired by the machine when the event happened. */
  readonly tick: number;
}

export interface TraceEvent {
  readonly name: string;
  readonly fields: Readonly<Record<string, FieldValue>>;
  readonly stamp: Stamp;
}

export type TraceListener = (event: TraceEvent) => void;

const NOWHERE: Stamp = { vcpu: 0, rip: 0n, tick: 0 };

export class Trace {
  private readonly byName = new Map<string, TraceListener[]>();
  private readonly toAll: TraceListener[] = [];
  /** Of all names together: with none, hot paths pay for one comparison. */
  private listeners = 0;
  /** Set by the machine; tests of the engine alone leave it. */
  stamp: () => Stamp = () => NOWHERE;

  /** Listeners run synchronously, in the order they were added, before `emit` returns. */
  on(name: string | "*", listener: TraceListener): () => void {
    const list = name === "*" ? this.toAll : (this.byName.get(name) ?? []);
    if (name !== "*") this.byName.set(name, list);
    list.push(listener);
    this.listeners++;
    return () => {
      const at = list.indexOf(listener);
      if (at < 0) return;
      list.splice(at, 1);
      this.listeners--;
    };
  }

  /** False when nobody would hear it: hot paths ask before they build the fields. */
  wants(name: string): boolean {
    if (this.listeners === 0) return false;
    return this.toAll.length > 0 || (this.byName.get(name)?.length ?? 0) > 0;
  }

  emit(name: string, fields: Readonly<Record<string, FieldValue>>): void {
    if (!this.wants(name)) return;
    const event: TraceEvent = { name, fields, stamp: this.stamp() };
    for (const listener of this.byName.get(name) ?? []) listener(event);
    for (const listener of this.toAll) listener(event);
  }
}
