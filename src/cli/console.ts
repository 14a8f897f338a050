/** What a command may touch of the process it runs in; tests give their own. */
export interface Console {
  /** The guest's bytes, untouched. */
  output(bytes: Uint8Array): void;
  /** Answers to the person's own question (help, version), a line each. */
  print(line: string): void;
  /** Trace and diagnostics, a line each. */
  error(line: string): void;
  /** The file's bytes, or why they could not be read. */
  readFile(path: string): Uint8Array | { readonly problem: string };
  /** Wall-clock milliseconds: for figures only, never seen by the machine. */
  now(): number;
}

/** Exit statuses besides the guest's own (`(value << 1) | 1`). */
export const STATUS = {
  ok: 0,
  badInput: 2,
  guestDied: 3,
  penumbraBug: 70,
  instructionLimit: 124,
} as const;
