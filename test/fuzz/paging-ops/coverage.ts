import type { Trace } from "../../../src/x86";

/** What a campaign did, by kind and name. */
export class Coverage {
  /** Count events too: costs time. */
  listening = false;
  private readonly kinds = new Map<string, Map<string, number>>();

  count(kind: string, name: string, by = 1): void {
    const names = this.kinds.get(kind) ?? new Map<string, number>();
    this.kinds.set(kind, names);
    names.set(name, (names.get(name) ?? 0) + by);
  }

  /** Counts events by name until the function it returns is called. */
  listensTo(trace: Trace): () => void {
    if (!this.listening) return () => {};
    return trace.on("*", ({ name }) => this.count("events", name));
  }

  /** A block a kind, commonest first; of `expected` names also those never seen. */
  report(expected: Readonly<Record<string, readonly string[]>>): string {
    const kinds = new Set([...this.kinds.keys(), ...Object.keys(expected)]);
    return [...kinds].map((kind) => this.block(kind, expected[kind] ?? [])).join("\n\n");
  }
  private block(kind: string, expected: readonly string[]): string {
    const names = this.kinds.get(kind) ?? new Map<string, number>();
    const lines = [...names]
      .sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
      .map(([name, count]) => `  ${String(count).padStart(9)}  ${name}`);
    const missing = expected.filter((name) => !names.has(name));
    if (missing.length > 0) lines.push(`      never  ${missing.join(", ")}`);
    return [`${kind}:`, ...lines].join("\n");
  }
}
