import { MemoryEvent } from "@vscode/debugadapter";
import type { DebugProtocol } from "@vscode/debugprotocol";

/** References remembered at most: each is a memory window that somebody may still look at. */
const MOST = 64;

/**
 * The memory references a client has read through. Clients match `memory` events by the reference's
 * exact text, and two references may name the same bytes, so all that were read are named each time.
 */
export class ReadReferences {
  /** Reference → the offsets read through it; the one read last is at the end. */
  private readonly extents = new Map<string, { readonly low: number; readonly high: number }>();

  note(reference: string, offset: number, count: number): void {
    const known = this.extents.get(reference);
    this.extents.delete(reference);
    this.extents.set(reference, {
      low: Math.min(known?.low ?? offset, offset),
      high: Math.max(known?.high ?? 0, offset + count),
    });
    const [oldest] = this.extents.keys();
    if (this.extents.size > MOST && oldest !== undefined) this.extents.delete(oldest);
  }

  /** "What you read may have changed", for each of them. */
  all(): readonly DebugProtocol.MemoryEvent[] {
    return [...this.extents].map(
      ([reference, { low, high }]) => new MemoryEvent(reference, low, high - low),
    );
  }
}
