import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  BreakpointSet,
  evaluate,
  formatValue,
  type Scope,
  Symbols,
  stackTrace,
  underline,
} from "../../src/debug";
import { createMachine, type Machine, type MmuMode, type StopReason } from "../../src/machine";

/** The sample guest under a debugger, without an adapter. */
export class Tour {
  readonly symbols = new Symbols();
  readonly breakpoints = new BreakpointSet();
  readonly machine: Machine;

  constructor(mmu: MmuMode) {
    const image = new Uint8Array(readFileSync("media/guests/paging-tour/paging-tour.elf"));
    const options = {
      image,
      imageName: "paging-tour",
      memory: 64 << 20,
      vcpus: 1,
      mmu,
      era: "modern",
    } as const;
    const made = createMachine(options);
    assert.ok(made.kind !== "refused", made.kind === "refused" ? made.text : "");
    this.machine = made.machine;
    assert.deepEqual(this.symbols.load(image, "paging-tour").problems, []);
    this.breakpoints.attach(this.machine, this.symbols, () => undefined);
  }

  run(): StopReason {
    return this.machine.run(50_000_000);
  }

  /** Runs to the next stop by an event, and gives its text. */
  event(): string {
    const reason = this.run();
    assert.equal(reason.kind, "event");
    return reason.kind === "event" ? reason.text : "";
  }

  get scope(): Scope {
    const [frame] = stackTrace(this.machine, 0, this.symbols).frames;
    const base = { machine: this.machine, symbols: this.symbols, vcpu: 0 };
    return frame ? { ...base, frame } : base;
  }

  watch(text: string): string {
    const result = evaluate(text, this.scope);
    assert.ok(result.ok, result.ok ? "" : underline(text, result.problem));
    return formatValue(result.value, result.format);
  }

  /** Names of the functions on the stack, inlined ones included. */
  stack(): readonly string[] {
    const { frames } = stackTrace(this.machine, 0, this.symbols);
    return frames.flatMap((f) => this.symbols.framesAt(f.at).map((s) => s.name));
  }
}
