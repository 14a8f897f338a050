import type { DebugProtocol } from "@vscode/debugprotocol";
import { evaluate, fault, localsOf, REGISTERS } from "../debug";
import type { Debuggee } from "./debuggee";
import { type FrameHandle, type VariablesRange, within } from "./handles";
import { hex } from "./memory-reference";
import { formatOf, variable } from "./variables";

/** A scope is a list of expressions: what it shows, a watch can show too. */
interface ScopeRow {
  readonly name: string;
  readonly hint?: "registers";
  readonly expensive: boolean;
  readonly rows: readonly { readonly name: string; readonly expression: string }[];
}

const registers = (...groups: readonly string[]) =>
  REGISTERS.filter((row) => groups.includes(row.group) && row.size === 8).map(({ name }) => ({
    name,
    expression: `$${name}`,
  }));
const named = (name: string, expression: string) => ({ name, expression });

const SCOPES: readonly ScopeRow[] = [
  {
    name: "Registers",
    hint: "registers",
    expensive: false,
    rows: [...registers("general", "flags"), ...segmentRows()],
  },
  {
    name: "System",
    hint: "registers",
    expensive: false,
    rows: registers("control", "msr", "debug", "table"),
  },
  {
    name: "Paging",
    expensive: false,
    rows: [
      named("walk of rip", "walk($rip)"),
      named("walk of rsp", "walk($rsp)"),
      named("cr3", "$cr3"),
    ],
  },
];

const SHADOW: ScopeRow = {
  name: "Shadow MMU",
  expensive: true,
  rows: [
    named("roots", "roots()"),
    named("unsync", "unsync()"),
    named("shadow walk of rip", "swalk($rip)"),
    named("shadow walk of rsp", "swalk($rsp)"),
  ],
};

/** Nothing is shadowed there, so nothing can be unsync. */
const inTwoDimensions = (name: string): ScopeRow => ({
  name,
  expensive: true,
  rows: [
    named("roots", "roots()"),
    named(`${name} walk of rip`, "swalk($rip)"),
    named(`${name} walk of rsp`, "swalk($rsp)"),
  ],
});

/** What the hypervisor has, by the engine in use. */
const HYPERVISOR = {
  none: [],
  shadow: [SHADOW],
  ept: [inTwoDimensions("EPT")],
  npt: [inTwoDimensions("NPT")],
} as const;

function segmentRows() {
  return ["cs", "ss", "ds", "es", "fs", "gs"].flatMap((name) => [
    named(name, `$${name}`),
    named(`${name}_base`, `$${name}_base`),
  ]);
}

/** The scopes of a frame; "Locals" first where the debug information has any. */
export function scopes(debuggee: Debuggee, frame: FrameHandle): DebugProtocol.Scope[] {
  const rows = [...SCOPES, ...HYPERVISOR[debuggee.machine.options.mmu]];
  return [
    ...locals(debuggee, frame),
    ...rows.map((row) => scope(debuggee, row, frame)),
    ...lastEvent(debuggee),
  ];
}

function scope(debuggee: Debuggee, row: ScopeRow, frame: FrameHandle): DebugProtocol.Scope {
  const read = (range: VariablesRange) =>
    within(row.rows, range).map(({ name, expression }) => {
      const result = evaluate(expression, debuggee.scope(frame));
      // A row of these tables that does not evaluate is a bug, and says so where it stands.
      const value = result.ok ? result.value : fault(result.problem.message);
      return variable(debuggee, name, value, expression, formatOf(range));
    });
  const handle = row.hint === "registers" ? { read, registersOf: frame } : { read };
  return {
    name: row.name,
    ...(row.hint ? { presentationHint: row.hint } : {}),
    variablesReference: debuggee.variables.add(handle),
    namedVariables: row.rows.length,
    expensive: row.expensive,
  };
}

function locals(debuggee: Debuggee, frame: FrameHandle): DebugProtocol.Scope[] {
  const found = localsOf(debuggee.scope(frame));
  if (found.length === 0) return [];
  const read = (range: VariablesRange) =>
    within(found, range).map(({ name, value }) =>
      variable(debuggee, name, value(), name, formatOf(range)),
    );
  const variablesReference = debuggee.variables.add({ read });
  return [{ name: "Locals", presentationHint: "locals", variablesReference, expensive: false }];
}

/** The event that stopped the guest, field by field. */
function lastEvent(debuggee: Debuggee): DebugProtocol.Scope[] {
  const halt = debuggee.lastHalt;
  if (halt?.kind !== "event") return [];
  const { name, fields } = halt.event;
  const read = () => [
    { name: "event", value: name, variablesReference: 0 },
    { name: "text", value: halt.text, variablesReference: 0 },
    ...Object.entries(fields).map(([field, value]) => ({
      name: field,
      value: typeof value === "number" || typeof value === "bigint" ? hex(value) : String(value),
      variablesReference: 0,
    })),
  ];
  return [
    { name: "Last event", variablesReference: debuggee.variables.add({ read }), expensive: false },
  ];
}
