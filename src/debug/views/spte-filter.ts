import { evaluate } from "../expression/evaluate";
import type { Scope } from "../expression/scope";
import { numberOf, type Value } from "../expression/value";
import type { SpteFilter } from "./sptes";
import { hex } from "./view-node";

const GFN = /^gfn[\s:]*(0x[0-9a-f]+|\d+)$/i;

/**
 * What a person typed to narrow the sptes down: `gfn 0x9`, an address of any space as an expression,
 * or words. An address that leads nowhere says so instead of matching nothing.
 */
export function readSpteFilter(typed: string, scope: Scope): SpteFilter | undefined {
  const text = typed.trim();
  if (text === "") return undefined;
  const frame = GFN.exec(text);
  if (frame) return { kind: "gfn", gfn: Number(frame[1]), text };
  const result = evaluate(text, scope);
  if (!result.ok) return { kind: "words", text };
  if (result.value.kind !== "address" && !/^(0x|\d|\$)/.test(text)) return { kind: "words", text };
  if (result.value.kind === "address" && result.value.space === "hpa") {
    return { kind: "pfn", pfn: Number(result.value.value / 4096n), text };
  }
  const physical = physicalOf(text, scope);
  if (typeof physical === "string") return { kind: "nothing", why: `${text}: ${physical}` };
  return {
    kind: "gfn",
    gfn: Number(physical / 4096n),
    text: `${text} (gfn ${hex(physical / 4096n)})`,
  };
}

/** The guest physical address an expression names, or why there is none. */
function physicalOf(text: string, scope: Scope): bigint | string {
  const result = evaluate(`gpa(${text})`, scope);
  if (!result.ok) return result.problem.message;
  const value: Value = result.value.kind === "list" ? result.value.at(0) : result.value;
  if (value.kind === "fault") return value.text;
  return numberOf(value) ?? "it has no guest physical address";
}
