import type { Program } from "./run";
import { PLAIN_SETUP, type Setup } from "./setup";

/** The program as a mocha test, ready to be pasted beside the other regressions. */
export function asTest(title: string, { setup, steps }: Program, error: unknown): string {
  const lines = String(error instanceof Error ? error.message : error).split("\n");
  return [
    `it(${JSON.stringify(title)}, () => {`,
    ...lines.map((line) => `  // ${line}`),
    `  replay(${literal(changed(setup))}, [`,
    ...steps.map((step) => `    ${literal(step)},`),
    "  ]);",
    "});",
  ].join("\n");
}

/** Only what differs from the plain set-up. */
function changed(setup: Setup): Partial<Setup> {
  const differs = (key: string): boolean =>
    literal(setup[key as keyof Setup]) !== literal(PLAIN_SETUP[key as keyof Setup]);
  return Object.fromEntries(Object.entries(setup).filter(([key]) => differs(key)));
}

/** TypeScript source of plain data. */
export function literal(value: unknown): string {
  if (typeof value === "bigint") return `0x${value.toString(16)}n`;
  if (typeof value === "number") return value > 9 ? `0x${value.toString(16)}` : String(value);
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return `{ ${fields.map(([key, field]) => `${key}: ${literal(field)}`).join(", ")} }`;
}
