import { MANUAL_PROTECT, type MemorySlot, SLOT_FLAG, type Vm } from "../../kvm";
import { gpaOf, PAGE_SIZE } from "../../x86";
import type { Scope } from "../expression/scope";
import { type CommandRow, helpText } from "./command-row";
import { dirtyRuns, runText } from "./dirty-runs";
import { done, type HostAnswer, NO_HOST, notDone, refusedBy } from "./host-action";

/** A command about the dirty log of a slot, or of the VM. */
interface LogVerb {
  readonly signature: string;
  readonly about: string;
  run(vm: Vm, slot: MemorySlot): HostAnswer;
}

const VERBS: Readonly<Record<string, LogVerb>> = {
  on: {
    signature: "log on <slot>",
    about: "the slot begins to log dirty pages (KVM_MEM_LOG_DIRTY_PAGES)",
    run: (vm, slot) => setLogging(vm, slot, true),
  },
  off: {
    signature: "log off <slot>",
    about: "the slot logs no more; pages that were split may become huge again",
    run: (vm, slot) => setLogging(vm, slot, false),
  },
  get: {
    signature: "log get <slot>",
    about:
      "takes the dirty pages (KVM_GET_DIRTY_LOG), which clears them unless that is done by hand",
    run(vm, slot) {
      const bitmap = vm.getDirtyLog(slot.id);
      if (!(bitmap instanceof Uint32Array)) return refusedBy(bitmap.reason, bitmap.errno);
      return done(runsText(slot, bitmap));
    },
  },
  clear: {
    signature: "log clear <slot>",
    about: "clears all its dirty pages and protects them (KVM_CLEAR_DIRTY_LOG)",
    run(vm, slot) {
      const bitmap = slot.dirtyBitmap?.slice() ?? new Uint32Array(0);
      const range = { slot: slot.id, firstPage: 0, numPages: slot.npages, bitmap };
      const refusal = vm.clearDirtyLog(range);
      return refusal
        ? refusedBy(refusal.reason, refusal.errno)
        : done(`Cleared: ${runsText(slot, bitmap)}`);
    },
  },
};

/** How dirty pages are protected again, by the word after `log protect`. */
const PROTECT: Readonly<Record<string, number>> = {
  auto: 0,
  manual: MANUAL_PROTECT.enable,
  "all-dirty": MANUAL_PROTECT.enable | MANUAL_PROTECT.initiallySet,
};

/** What the console can do with dirty logs. */
export const logRows = (): readonly CommandRow[] => [
  ...Object.values(VERBS),
  {
    signature: `log protect ${Object.keys(PROTECT).join("|")}`,
    about: "when dirty pages are protected again (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)",
  },
];

/** The console's commands about dirty logs; `undefined` when the text is none. */
export function logCommand(text: string, scope: Scope): HostAnswer | undefined {
  const words = /^log\s+(\S+)\s*(\S*)$/.exec(text.trim());
  if (!words) return undefined;
  const [, verb = "", argument = ""] = words;
  if (verb === "help") return done(helpText(logRows()));
  const { vm } = scope.machine;
  if (!vm) return notDone(NO_HOST);
  if (verb === "protect") return protect(vm, argument);
  const known = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
  if (!known) return notDone(`There is no "log ${verb}": "log help" lists what there is.`);
  const slot = vm.slots.find(({ id }) => String(id) === argument);
  return slot
    ? known.run(vm, slot)
    : notDone(`There is no slot "${argument}": slots() lists them.`);
}

function setLogging(vm: Vm, slot: MemorySlot, on: boolean): HostAnswer {
  const { id, baseGfn, npages, userspaceAddr, flags } = slot;
  const outcome = vm.setMemoryRegion({
    slot: id,
    flags: on ? flags | SLOT_FLAG.logDirty : flags & ~SLOT_FLAG.logDirty,
    guestPhysAddr: gpaOf(baseGfn),
    memorySize: npages * PAGE_SIZE,
    userspaceAddr,
  });
  if (outcome.kind === "refused") return refusedBy(outcome.reason, outcome.errno);
  return done(`Slot ${id} ${on ? "logs dirty pages" : "logs no more"}.`);
}

function protect(vm: Vm, how: string): HostAnswer {
  const flags = Object.hasOwn(PROTECT, how) ? PROTECT[how] : undefined;
  if (flags === undefined)
    return notDone(`"${how}" is no way to protect: choose ${Object.keys(PROTECT).join(", ")}.`);
  const refusal = vm.setManualProtect(flags);
  return refusal
    ? refusedBy(refusal.reason, refusal.errno)
    : done(`Dirty pages are protected: ${how}.`);
}

function runsText(slot: MemorySlot, bitmap: Uint32Array): string {
  const runs = dirtyRuns(slot, bitmap);
  const pages = runs.reduce((sum, { pages }) => sum + pages, 0);
  const shown = runs.slice(0, SHOWN_RUNS).map(runText);
  const more = runs.length > shown.length ? [`and ${runs.length - shown.length} more runs`] : [];
  return `${pages} of ${slot.npages} pages dirty${pages > 0 ? `: ${[...shown, ...more].join(", ")}` : ""}.`;
}

/** Runs that a message lists; the view has them all. */
const SHOWN_RUNS = 12;
