import type { Symbols } from "../debug";
import type { Halt } from "./runner";

/** DAP's word for a stop, and the sentence a person reads. */
export interface StopText {
  readonly reason: string;
  readonly description: string;
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

export function describeHalt(halt: Halt, symbols: Symbols): StopText {
  switch (halt.kind) {
    case "step":
      return { reason: "step", description: "Stepped" };
    case "pause":
      return { reason: "pause", description: "Paused" };
    case "breakpoint":
      return {
        reason: "breakpoint",
        description: `Breakpoint at ${symbols.describe(halt.address) ?? hex(halt.address)}`,
      };
    case "event":
      return {
        reason: halt.event.name === "exception" ? "exception" : "data breakpoint",
        description: halt.text,
      };
    case "run-error":
    case "unimplemented":
      return { reason: "exception", description: halt.text };
    case "invariant":
      return {
        reason: "exception",
        description: `Invariant broken: ${halt.violations.join("; ")}`,
      };
    case "shutdown":
      return {
        reason: "exception",
        description: `vCPU ${halt.vcpu} shut down (${halt.text}): the guest cannot go on; its last state is shown`,
      };
    case "idle":
      return {
        reason: "pause",
        description: "All vCPUs are halted and no timer or input will wake them",
      };
    case "exit":
      return { reason: "exit", description: `The guest ended with ${halt.value} on its exit port` };
    case "poweroff":
      return { reason: "exit", description: "The guest powered off" };
  }
}
