import { byteSize, nearest } from "../debug";
import { type Era, type MmuKnobs, PROFILES } from "../kvm";
import {
  type MachineOptions,
  MEMORY_BACKINGS,
  type MemoryBacking,
  type MmuMode,
  type SlotRequest,
} from "../machine";

/** Launch configuration as the client sends it, after checking. Paths are the client's. */
export interface LaunchArguments {
  readonly program: string;
  readonly initrd?: string;
  readonly append?: string;
  readonly memory: number;
  readonly memslots?: readonly SlotRequest[];
  readonly backing?: MemoryBacking;
  readonly hostMemory?: number;
  readonly mmu: MmuMode;
  readonly era: Era;
  readonly tdpMmu?: boolean;
  readonly eagerPageSplit?: boolean;
  readonly nxHugePages?: boolean;
  readonly eptad?: boolean;
  readonly pml?: boolean;
  readonly cpu?: string;
  readonly vcpus: number;
  readonly quantum?: number;
  readonly symbols: readonly { readonly file: string; readonly base?: number }[];
  readonly sourceMap: Readonly<Record<string, string>>;
  readonly stopOnEntry: boolean;
  readonly check: boolean;
  readonly init: readonly string[];
}

/** Keys every client adds to a configuration for its own use. */
const CLIENT_KEYS = new Set([
  "type",
  "name",
  "request",
  "preLaunchTask",
  "postDebugTask",
  "presentation",
  "internalConsoleOptions",
  "debugServer",
  "serverReadyAction",
  "noDebug",
  "__sessionId",
  "__configurationTarget",
  "__restart",
  "suppressMultipleSessionWarning",
  "linux",
  "osx",
  "windows",
  "cwd",
  "trace",
]);

type Reader = (
  value: unknown,
  key: string,
) => { readonly value: unknown } | { readonly problem: string };

const LAUNCH_KEYS: Readonly<Record<string, Reader>> = {
  program: text,
  initrd: text,
  append: text,
  memory: size,
  memslots: slots,
  backing: oneOf(MEMORY_BACKINGS),
  hostMemory: size,
  mmu: oneOf(["shadow", "ept", "npt", "none"]),
  era: oneOf(PROFILES.map(({ era }) => era)),
  tdpMmu: yesNo,
  eagerPageSplit: yesNo,
  nxHugePages: yesNo,
  eptad: yesNo,
  pml: yesNo,
  cpu: text,
  vcpus: whole(1, 8),
  quantum: whole(1, 10_000_000),
  symbols: listOf("symbol files", symbolFile),
  sourceMap: mapOfText,
  stopOnEntry: yesNo,
  check: yesNo,
  init: listOf("console commands", text),
};

/** Every key that is read. */
export const LAUNCH_KEY_NAMES: readonly string[] = Object.keys(LAUNCH_KEYS);

const DEFAULTS = {
  memory: 64 * 2 ** 20,
  mmu: "shadow",
  era: "modern",
  vcpus: 1,
  symbols: [],
  sourceMap: {},
  stopOnEntry: true,
  check: false,
  init: [],
} as const;

/** The checked configuration, or one sentence for the first thing wrong with it. */
export function readLaunchArguments(
  raw: Readonly<Record<string, unknown>>,
): LaunchArguments | string {
  const read: Record<string, unknown> = { ...DEFAULTS };
  for (const [key, value] of Object.entries(raw)) {
    if (CLIENT_KEYS.has(key) || value === undefined) continue;
    const reader = LAUNCH_KEYS[key];
    if (!reader) {
      const near = nearest(key, Object.keys(LAUNCH_KEYS));
      return `launch.json: there is no key "${key}"${near ? `; did you mean "${near}"?` : "."}`;
    }
    const result = reader(value, key);
    if ("problem" in result) return `launch.json: "${key}" ${result.problem}.`;
    read[key] = result.value;
  }
  if (typeof read.program !== "string") {
    return 'launch.json: "program" is missing: give the path of an ELF, multiboot or flat image.';
  }
  return read as unknown as LaunchArguments; // each key was read by its own reader above
}

/** What the machine is made of, given the bytes of the files. */
export function machineOptions(
  args: LaunchArguments,
  image: Uint8Array,
  initrd: Uint8Array | undefined,
): MachineOptions {
  return {
    image,
    imageName: args.program,
    ...(initrd && args.initrd ? { initrd: { name: args.initrd, bytes: initrd } } : {}),
    ...(args.append === undefined ? {} : { append: args.append }),
    ...(args.tdpMmu === undefined ? {} : { tdpMmu: args.tdpMmu }),
    kvm: knobsOf(args),
    ...(args.cpu === undefined ? {} : { cpu: args.cpu }),
    ...(args.memslots === undefined ? {} : { memslots: args.memslots }),
    ...(args.backing === undefined ? {} : { backing: args.backing }),
    ...(args.hostMemory === undefined ? {} : { hostMemory: args.hostMemory }),
    ...(args.quantum === undefined ? {} : { quantum: args.quantum }),
    memory: args.memory,
    vcpus: args.vcpus,
    mmu: args.mmu,
    era: args.era,
    check: args.check,
  };
}

/** The module parameters that are said; the others are as kernels have them. */
function knobsOf(args: LaunchArguments): Partial<MmuKnobs> {
  const { eagerPageSplit, nxHugePages, eptad, pml } = args;
  return {
    ...(eagerPageSplit === undefined ? {} : { eagerPageSplit }),
    ...(nxHugePages === undefined ? {} : { nxHugePages }),
    ...(eptad === undefined ? {} : { eptad }),
    ...(pml === undefined ? {} : { pml }),
  };
}

/** As JSON has it: a number, or text such as `64M`. */
function bytesOf(value: unknown): number | undefined {
  if (typeof value === "number")
    return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  return typeof value === "string" ? byteSize(value) : undefined;
}

function text(value: unknown): ReturnType<Reader> {
  return typeof value === "string" ? { value } : { problem: `must be text, not ${show(value)}` };
}

function yesNo(value: unknown): ReturnType<Reader> {
  return typeof value === "boolean"
    ? { value }
    : { problem: `must be true or false, not ${show(value)}` };
}

function size(value: unknown): ReturnType<Reader> {
  const bytes = bytesOf(value);
  return bytes === undefined
    ? { problem: `must be a size such as "64M", not ${show(value)}` }
    : { value: bytes };
}

function whole(low: number, high: number): Reader {
  return (value) =>
    Number.isInteger(value) && (value as number) >= low && (value as number) <= high
      ? { value }
      : { problem: `must be a whole number from ${low} to ${high}, not ${show(value)}` };
}

/** `later` says of a value that is known but not there yet when it comes. */
function oneOf(valid: readonly string[], later: Readonly<Record<string, string>> = {}): Reader {
  return (value) => {
    if (typeof value === "string" && valid.includes(value)) return { value };
    const when = typeof value === "string" ? later[value] : undefined;
    const quoted = valid.map((v) => `"${v}"`);
    const choice = `choose ${[quoted.slice(0, -1).join(", "), quoted.at(-1)].filter(Boolean).join(" or ")}`;
    return {
      problem: when
        ? `${show(value)} ${when}; until then ${choice}`
        : `cannot be ${show(value)}: ${choice}`,
    };
  };
}

function listOf(what: string, item: Reader): Reader {
  return (value, key) => {
    if (!Array.isArray(value)) return { problem: `must be a list of ${what}, not ${show(value)}` };
    const values: unknown[] = [];
    for (const [index, element] of value.entries()) {
      const result = item(element, key);
      if ("problem" in result) return { problem: `entry ${index} ${result.problem}` };
      values.push(result.value);
    }
    return { value: values };
  };
}

function symbolFile(value: unknown): ReturnType<Reader> {
  if (typeof value === "string") return { value: { file: value } };
  const { file, base } = (value ?? {}) as { file?: unknown; base?: unknown };
  if (typeof file !== "string") return { problem: `needs a "file", got ${show(value)}` };
  if (base === undefined) return { value: { file } };
  const at = bytesOf(base);
  return at === undefined
    ? { problem: `has a "base" that is no address: ${show(base)}` }
    : { value: { file, base: at } };
}

function slots(value: unknown, key: string): ReturnType<Reader> {
  return listOf("slots", (element) => {
    const { gpa, size: bytes, flags = [], backing } = (element ?? {}) as Record<string, unknown>;
    const at = bytesOf(gpa);
    const length = bytesOf(bytes);
    if (at === undefined || length === undefined)
      return { problem: 'needs "gpa" and "size", such as "0x0" and "64M"' };
    const known = ["ro", "log-dirty"];
    if (!Array.isArray(flags) || flags.some((f) => !known.includes(f))) {
      return { problem: `has flags ${show(flags)}: each must be "ro" or "log-dirty"` };
    }
    if (backing === undefined) return { value: { gpa: at, size: length, flags } };
    const backed = oneOf(MEMORY_BACKINGS)(backing, key);
    if ("problem" in backed) return { problem: `has a backing that ${backed.problem}` };
    return { value: { gpa: at, size: length, flags, backing } };
  })(value, key);
}

function mapOfText(value: unknown): ReturnType<Reader> {
  const good =
    typeof value === "object" &&
    value !== null &&
    Object.values(value).every((v) => typeof v === "string");
  return good ? { value } : { problem: `must map path prefixes to paths, not ${show(value)}` };
}

const show = (value: unknown): string => JSON.stringify(value) ?? String(value);
