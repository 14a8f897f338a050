/**
 * An exception or interrupt on its way through the IDT (or the real-mode vector table).
 *
 * - `fault`: pushes the address of the instruction itself, with RF = 1 so that its breakpoint does
 *   not hit twice; `trap` the address of the next one. Also #DF, and INT1 (a trap).
 * - `interrupt`, `nmi`: taken between instructions.
 * - `software`: INT n, INT3, INTO: the gate's DPL is checked and error codes have EXT = 0
 *   (SDM 3A 6.12.1.1, 6.13).
 */
export interface DeliveryEvent {
  readonly vector: number;
  readonly kind: "fault" | "trap" | "interrupt" | "software" | "nmi";
  /** Instruction pointer to push. */
  readonly returnRip: bigint;
  readonly error?: number | undefined;
  readonly cr2?: bigint | undefined;
  /** For #DB: the causes, as bits of DR6. */
  readonly dr6?: number | undefined;
  /**
   * RF of the pushed flags when it is not the rule above: false for an instruction breakpoint (which
   * leaves RF alone), true for an interrupt between two iterations of a REP (SDM 3B 17.3.1.1).
   */
  readonly resume?: boolean | undefined;
}

/** EXT: the event is not the program's own doing. */
export const extOf = (event: DeliveryEvent): 0 | 1 => (event.kind === "software" ? 0 : 1);

/** Error code that names the event's own gate: index, IDT bit, EXT. */
export const gateError = (event: DeliveryEvent): number => event.vector * 8 + 2 + extOf(event);
