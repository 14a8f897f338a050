import type { DebugProtocol } from "@vscode/debugprotocol";
import type { Frame } from "../debug";

/** A frame a client holds a number for. */
export interface FrameHandle {
  readonly vcpu: number;
  readonly frame: Frame;
  /** Its registers are the vCPU's own, and can be set. */
  readonly isInnermost: boolean;
}

/** Which part of a list a client wants, and how numbers are to be shown. */
export interface VariablesRange {
  readonly start?: number;
  readonly count?: number;
  readonly hex?: boolean;
}

/** The wanted part of a whole list. A count of 0 means all, as the protocol has it. */
export const within = <T>(list: readonly T[], { start = 0, count }: VariablesRange): readonly T[] =>
  list.slice(start, count ? start + count : undefined);

/** Something with parts that a client holds a number for. */
export interface VariablesHandle {
  read(range: VariablesRange): DebugProtocol.Variable[];
  /** The frame whose registers these are: such variables can be set. */
  readonly registersOf?: FrameHandle;
}

/**
 * Numbers that stand for things of the present stop (`variablesReference`, frame ids). They die when
 * the guest moves on; numbers are never used again, so a stale one is recognised.
 */
export class Handles<T> {
  private next = 1;
  private first = 1;
  private things: T[] = [];

  add(thing: T): number {
    this.things.push(thing);
    return this.next++;
  }

  /** `undefined` for a number of an earlier stop, or one never given out. */
  get(handle: number): T | undefined {
    return this.things[handle - this.first];
  }

  clear(): void {
    this.first = this.next;
    this.things = [];
  }
}
