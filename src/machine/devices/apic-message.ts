/** Delivery modes of ICR, LVTs and redirection entries (SDM 3A 11.6.1, table 11-18). */
export const DELIVERY = {
  fixed: 0,
  lowest: 1,
  smi: 2,
  nmi: 4,
  init: 5,
  startup: 6,
  extInt: 7,
} as const;

/** An interrupt on its way to local APICs: from an ICR, a redirection entry, or an MSI. */
export interface ApicMessage {
  readonly vector: number;
  readonly delivery: number;
  readonly logical: boolean;
  readonly destination: number;
  readonly level: boolean;
}

/** Register offsets of the xAPIC page; x2APIC MSR = 0x800 + offset / 16 (SDM 3A table 11-1). */
export const APIC = {
  id: 0x020,
  version: 0x030,
  tpr: 0x080,
  apr: 0x090,
  ppr: 0x0a0,
  eoi: 0x0b0,
  ldr: 0x0d0,
  dfr: 0x0e0,
  svr: 0x0f0,
  isr: 0x100,
  tmr: 0x180,
  irr: 0x200,
  esr: 0x280,
  icrLow: 0x300,
  icrHigh: 0x310,
  lvtTimer: 0x320,
  lvtThermal: 0x330,
  lvtCounter: 0x340,
  lvtLint0: 0x350,
  lvtLint1: 0x360,
  lvtError: 0x370,
  initialCount: 0x380,
  currentCount: 0x390,
  divide: 0x3e0,
  selfIpi: 0x3f0,
} as const;

export const LVT_MASKED = 1 << 16;
