import type { Format } from "./syntax";
import type { Value } from "./value";

/** How addresses are annotated; absent pieces leave the address bare. */
export interface Annotate {
  /** `slot 0 +0x3000`, `visit+0x12`. */
  address?(space: string, value: bigint): string | undefined;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;
const signed = (value: bigint): bigint => BigInt.asIntN(64, value);

/** One line for a value, as watches, hovers and the console show it. */
export function formatValue(value: Value, format?: Format, annotate: Annotate = {}): string {
  switch (value.kind) {
    case "integer": {
      if (format) return formatNumber(value.value, format);
      const plain =
        value.shown === "x" && !value.signed
          ? hex(value.value)
          : String(value.signed ? signed(value.value) : value.value);
      return value.meaning ? `${plain} ${value.meaning}` : plain;
    }
    case "boolean":
      return format && format !== "flags"
        ? formatNumber(value.value ? 1n : 0n, format)
        : String(value.value);
    case "text":
      return format === "raw" ? value.value : JSON.stringify(value.value);
    case "none":
      return value.why ? `none (${value.why})` : "none";
    case "fault":
      return value.text;
    case "address": {
      if (format) return formatNumber(value.value, format);
      const root = value.root === undefined ? "" : `@${hex(value.root)}`;
      const note = annotate.address?.(value.space, value.value);
      return `${value.space}${root}:${hex(value.value)}${note ? ` (${note})` : ""}`;
    }
    case "list":
      return (
        value.summary ?? formatList(value.length, (i) => formatValue(value.at(i), format, annotate))
      );
    case "record":
      if (format === "flags") return value.flags ?? value.summary;
      return format && value.number !== undefined
        ? formatNumber(value.number, format)
        : value.summary;
  }
}

/** Items written out before the rest is only counted. */
const SHOWN = 4;

function formatList(length: number, item: (index: number) => string): string {
  const items = Array.from({ length: Math.min(length, SHOWN) }, (_, i) => item(i));
  return `[${items.join(", ")}${length > SHOWN ? `, … ${length} in all` : ""}]`;
}

export function formatNumber(value: bigint, format: Format): string {
  switch (format) {
    case "d":
      return String(signed(value));
    case "b":
      return `0b${value.toString(2)}`;
    case "o":
      return `0o${value.toString(8)}`;
    case "raw":
      return String(value);
    case "x":
    case "h":
    case "flags":
      return hex(value);
  }
}
