import type { GuestFault } from "../board";
import { VECTOR } from "./vectors";

type ExceptionClass = "benign" | "contributory" | "page-fault" | "double-fault";

/** SDM 3A table 6-4. Vectors that are not listed, and all interrupts, are benign. */
const CLASSES: Readonly<Record<number, ExceptionClass>> = {
  [VECTOR.DE]: "contributory",
  [VECTOR.TS]: "contributory",
  [VECTOR.NP]: "contributory",
  [VECTOR.SS]: "contributory",
  [VECTOR.GP]: "contributory",
  [VECTOR.PF]: "page-fault",
  [VECTOR.DF]: "double-fault",
};

/** SDM 3A table 6-5: what happens when the second comes while the first is being delivered. */
const OUTCOMES: Readonly<
  Record<ExceptionClass, Partial<Record<ExceptionClass, "double-fault" | "shutdown">>>
> = {
  benign: {},
  contributory: { contributory: "double-fault" },
  "page-fault": { contributory: "double-fault", "page-fault": "double-fault" },
  "double-fault": { contributory: "shutdown", "page-fault": "shutdown" },
};

const doubleFault: GuestFault = { vector: VECTOR.DF, error: 0 };

/**
 * The fault to deliver next when delivering `first` met `second`. `first` is undefined for an
 * interrupt or INT n, whose vectors mean no class.
 */
export function escalate(first: number | undefined, second: GuestFault): GuestFault | "shutdown" {
  const before = first === undefined ? "benign" : (CLASSES[first] ?? "benign");
  const after = CLASSES[second.vector] ?? "benign";
  switch (OUTCOMES[before][after]) {
    case "shutdown":
      return "shutdown";
    case "double-fault":
      return doubleFault;
    default:
      return second;
  }
}

/** DR6 bits that report a hit breakpoint; each new #DB replaces them (SDM 3B 17.2.3). */
const DR6_HITS = 0xfn;
/** DR6.BS, as a cause of #DB. */
export const SINGLE_STEP = 1 << 14;
/** DR7.GD */
const GENERAL_DETECT = 1n << 13n;

/** What #DB does to the debug registers: reports its cause and drops general detect (SDM 3B 17.2.4). */
export function debugRegistersAfter(
  dr6: bigint,
  dr7: bigint,
  causes: number,
): { readonly dr6: bigint; readonly dr7: bigint } {
  return { dr6: (dr6 & ~DR6_HITS) | BigInt(causes), dr7: dr7 & ~GENERAL_DETECT };
}
