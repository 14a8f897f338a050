import { byteSize, nearest } from "../debug";
import { type Era, profileOf } from "../kvm";
import { MEMORY_BACKINGS, type MemoryBacking, type MmuMode } from "../machine";
import { wrongPattern } from "./trace-output";

/** `penumbra run`, checked. */
export interface RunArguments {
  readonly guest: string;
  readonly initrd: string | undefined;
  readonly append: string | undefined;
  /** Bytes. */
  readonly memory: number;
  readonly vcpus: number;
  readonly mmu: MmuMode;
  readonly era: Era;
  readonly tdpMmu: false | undefined;
  readonly cpu: string | undefined;
  readonly backing: MemoryBacking | undefined;
  /** Bytes. */
  readonly hostMemory: number | undefined;
  readonly maxInstructions: number;
  /** Glob patterns of event names; empty: no trace. */
  readonly trace: readonly string[];
  readonly check: boolean;
  readonly stats: boolean;
}

const DEFAULTS: RunArguments = {
  guest: "",
  initrd: undefined,
  append: undefined,
  memory: 256 * 2 ** 20,
  vcpus: 1,
  mmu: "shadow",
  era: "modern",
  tdpMmu: undefined,
  cpu: undefined,
  backing: undefined,
  hostMemory: undefined,
  maxInstructions: Infinity,
  trace: [],
  check: false,
  stats: false,
};

/** A refusal is the text alone; what to put into the arguments otherwise. */
type Parsed = string | Partial<RunArguments>;

interface Option {
  /** What stands for the value in the help; `undefined` for a switch. */
  readonly value?: string;
  readonly help: string;
  parse(value: string): Parsed;
}

/** Every option of `run`, in the order of its help. */
export const RUN_OPTIONS: Readonly<Record<string, Option>> = {
  initrd: {
    value: "FILE",
    help: "hand FILE to the guest as its first multiboot module",
    parse: (initrd) => ({ initrd }),
  },
  append: {
    value: "STRING",
    help: "the guest's command line, after its name",
    parse: (append) => ({ append }),
  },
  memory: {
    value: "SIZE",
    help: "guest RAM: 1M to 3G (256M)",
    parse: (text) => {
      const memory = byteSize(text);
      return memory === undefined ? `${text} is not a size: write 64M, 1G or bytes` : { memory };
    },
  },
  vcpus: {
    value: "N",
    help: "number of virtual CPUs (1)",
    parse: (text) => whole(text, (vcpus) => ({ vcpus })),
  },
  mmu: {
    value: "MODE",
    help: "shadow, ept or npt: how KVM would translate; none: the guest's own tables (shadow)",
    parse: parseMmu,
  },
  era: {
    value: "ERA",
    help: "whose MMU: 2010, 2012 or modern (modern)",
    parse: (text) => {
      const profile = profileOf(text);
      return "era" in profile ? { era: profile.era } : profile.reason;
    },
  },
  "no-tdp-mmu": {
    help: "ept and npt with direct shadow pages, as kernels before 5.10",
    parse: () => ({ tdpMmu: false }),
  },
  cpu: {
    value: "MODEL",
    help: "the processor: max,vendor=intel,phys-bits=46,-smap,+la57",
    parse: (cpu) => ({ cpu }),
  },
  backing: {
    value: "KIND",
    help: `what the host makes guest RAM of: ${MEMORY_BACKINGS.join(", ")}`,
    parse: parseBacking,
  },
  "host-memory": {
    value: "SIZE",
    help: "memory the host may use before it swaps: 1M or more (all it has)",
    parse: (text) => {
      const hostMemory = byteSize(text);
      return hostMemory === undefined
        ? `${text} is not a size: write 16M or bytes`
        : { hostMemory };
    },
  },
  "max-instructions": {
    value: "N",
    help: "stop with status 124 after N instructions",
    parse: (text) => whole(text, (maxInstructions) => ({ maxInstructions })),
  },
  trace: {
    value: "PATTERNS",
    help: "print events whose names match: kvm_mmu_*,kvm_exit",
    parse: parseTrace,
  },
  check: {
    help: "run every invariant of the MMU at each VM entry",
    parse: () => ({ check: true }),
  },
  stats: {
    value: "json",
    help: "end stderr with one line of figures",
    parse: (format) =>
      format === "json" ? { stats: true } : `${format} is no format: choose json`,
  },
};

/** The checked arguments, or one sentence that says what is wrong and what to do. */
export function parseRunArguments(words: readonly string[]): RunArguments | string {
  let read: RunArguments = DEFAULTS;
  const guests: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (!word.startsWith("--")) {
      guests.push(word);
      continue;
    }
    const [name = "", inline] = splitOnce(word.slice(2));
    const option = RUN_OPTIONS[name];
    if (!option) return unknownOption(name);
    if (!option.value && inline !== undefined)
      return `--${name} takes no value: leave out "=${inline}"`;
    const value = option.value ? (inline ?? words[++i]) : "";
    if (value === undefined) return `--${name} needs a value: --${name} ${option.value}`;
    const parsed = option.parse(value);
    if (typeof parsed === "string") return `--${name}: ${parsed}`;
    read = { ...read, ...parsed };
  }
  const [guest, extra] = guests;
  if (guest === undefined) return "no guest given: penumbra run GUEST [options]";
  if (extra !== undefined)
    return `two guests given, ${guest} and ${extra}: pass the guest's own arguments with --append`;
  return { ...read, guest };
}

function unknownOption(name: string): string {
  const near = nearest(name, Object.keys(RUN_OPTIONS));
  return `there is no option --${name}${near ? `; did you mean --${near}?` : ": see penumbra help"}`;
}

function splitOnce(word: string): [string, string | undefined] {
  const at = word.indexOf("=");
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

function parseTrace(text: string): Parsed {
  const trace = text.split(",").filter((pattern) => pattern !== "");
  return trace.map(wrongPattern).find((wrong) => wrong !== undefined) ?? { trace };
}

function parseBacking(text: string): Parsed {
  const backing = MEMORY_BACKINGS.find((name) => name === text);
  return backing ? { backing } : `${text} is no backing: choose ${MEMORY_BACKINGS.join(", ")}`;
}

const MODES: readonly MmuMode[] = ["shadow", "ept", "npt", "none"];

function parseMmu(mode: string): Parsed {
  const known = MODES.find((name) => name === mode);
  return known ? { mmu: known } : `there is no mode ${mode}; choose shadow, ept, npt or none`;
}

function whole(text: string, use: (value: number) => Partial<RunArguments>): Parsed {
  const value = /^[0-9][0-9_]*$/.test(text) ? Number(text.replaceAll("_", "")) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < 1) return `${text} is not a whole number above 0`;
  return use(value);
}
