/** INIT or start-up IPI on its way to a vCPU; taken between two instructions of the machine. */
export type Signal =
  | { readonly kind: "init"; readonly vcpu: number }
  | { readonly kind: "startup"; readonly vcpu: number; readonly vector: number };

/** Values of the `activity` field of a vCPU (layout.ts). */
export const ACTIVITY = { running: 0, halted: 1, waitingForSipi: 2, shutDown: 3 } as const;
