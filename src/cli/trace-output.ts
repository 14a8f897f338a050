import { nearest } from "../debug";
import { EVENT_NAMES, formatEvent } from "../kvm";
import { MACHINE_EVENTS } from "../machine";
import type { FieldValue, TraceEvent } from "../x86";

/** Names of all events that can be traced. */
const KNOWN: readonly string[] = [...EVENT_NAMES, ...Object.keys(MACHINE_EVENTS)];
const HYPERVISOR_EVENTS: ReadonlySet<string> = new Set(EVENT_NAMES);

/** Why a pattern would never print anything. */
export function wrongPattern(pattern: string): string | undefined {
  if (KNOWN.some((name) => matchesPattern(name, pattern))) return undefined;
  const near = nearest(pattern, KNOWN);
  return `no event is called ${pattern}${near ? `; did you mean ${near}?` : ": try kvm_*"}`;
}

/** The events that some pattern names. */
export const eventsOf = (patterns: readonly string[]): readonly string[] =>
  KNOWN.filter((name) => patterns.some((pattern) => matchesPattern(name, pattern)));

/** True when the whole name matches; `*` stands for any run of characters. */
export function matchesPattern(name: string, pattern: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[^A-Za-z0-9_]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(name);
}

/** One event as a line, in the manner of the kernel's trace: when, who, where, what, its fields. */
export function traceLine(event: TraceEvent): string {
  const { name, fields, stamp } = event;
  const text = HYPERVISOR_EVENTS.has(name) ? formatEvent(event) : fieldsText(fields);
  const head = `${stamp.tick} vcpu ${stamp.vcpu} rip 0x${stamp.rip.toString(16)}`;
  return `${head} ${name}: ${text}`.trimEnd();
}

/** Fields that count or enumerate are read in decimal; all others are addresses, entries or codes. */
const DECIMAL: ReadonlySet<string> = new Set(["len", "size", "count", "vector", "cr", "irq"]);

const fieldsText = (fields: TraceEvent["fields"]): string =>
  Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} ${valueText(key, value)}`)
    .join(" ");

function valueText(key: string, value: FieldValue): string {
  if (typeof value === "number" && DECIMAL.has(key)) return String(value);
  if (typeof value === "number" || typeof value === "bigint") return `0x${value.toString(16)}`;
  return String(value);
}
