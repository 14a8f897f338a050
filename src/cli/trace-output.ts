import type { FieldValue, TraceEvent } from "../x86";

/** True when the whole name matches; `*` stands for any run of characters. */
export function matchesPattern(name: string, pattern: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[^A-Za-z0-9_]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(name);
}

/** One event as a line, in the manner of the kernel's trace: who, when, where, what, its fields. */
export function traceLine({ name, fields, stamp }: TraceEvent): string {
  const parts = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} ${fieldText(key, value)}`);
  const head = `${stamp.tick} vcpu ${stamp.vcpu} rip 0x${stamp.rip.toString(16)}`;
  return `${head} ${name}: ${parts.join(" ")}`.trimEnd();
}

/** Fields that count or enumerate are read in decimal; all others are addresses, entries or codes. */
const DECIMAL: ReadonlySet<string> = new Set([
  "vcpu",
  "level",
  "size",
  "len",
  "count",
  "vector",
  "dest",
  "irq",
  "unsyncChildren",
  "rootCount",
]);

function fieldText(key: string, value: FieldValue): string {
  if (typeof value === "number" && DECIMAL.has(key)) return String(value);
  if (typeof value === "number" || typeof value === "bigint") return `0x${value.toString(16)}`;
  return String(value);
}
