import type { HostPage } from "../../host";
import type { Machine } from "../../machine";
import {
  type Gpa,
  gfnOf,
  gpa,
  gpaOf,
  type Hpa,
  type Hva,
  hpaOf,
  hva,
  PAGE_SIZE,
  pageOffset,
  pfnOf,
} from "../../x86";

/** A place in the space asked for, or the sentence why there is none. */
export type Located<A> =
  | { readonly ok: true; readonly at: A }
  | { readonly ok: false; readonly why: string };

const found = <A>(at: A): Located<A> => ({ ok: true, at });
const missing = (why: string): { readonly ok: false; readonly why: string } => ({ ok: false, why });
const hex = (value: number): string => `0x${value.toString(16)}`;

const NO_HYPERVISOR =
  'there is no hypervisor under "mmu": "none", so no hva and hpa: start with "mmu": "shadow"';

/** Through the memslots. */
export function hvaOfGpa(machine: Machine, at: Gpa): Located<Hva> {
  if (!machine.vm) return missing(NO_HYPERVISOR);
  const frame = gfnOf(at);
  const slot = machine.vm.slots.find((s) => s.contains(frame));
  if (!slot) return missing(`no memslot holds gpa:${hex(at)}: it is a device or nothing`);
  return found(hva(slot.hvaOf(frame) + pageOffset(at)));
}

/** Through the host's page table, without making anything resident. */
export function hpaOfHva(machine: Machine, at: Hva): Located<Hpa> {
  if (!machine.vm) return missing(NO_HYPERVISOR);
  const { hostProcess } = machine.vm.core.state;
  const frame = hostProcess.translate(at);
  if (frame !== undefined) return found(hpaOf(frame, pageOffset(at)));
  const page = hostProcess.page(at);
  if (!page) return missing(`the host maps nothing at hva:${hex(at)}`);
  return missing(`hva:${hex(at)} is not resident in the host: ${whyAbsent(page)}`);
}

function whyAbsent({ swapped, poisoned }: HostPage): string {
  if (poisoned) return "its memory is poisoned";
  return swapped ? "it is swapped out" : "it was never touched";
}

/** Every gpa that a host address stands for: one, unless slots share memory. */
export function gpasOfHva(machine: Machine, at: Hva): Located<readonly Gpa[]> {
  if (!machine.vm) return missing(NO_HYPERVISOR);
  const gpas: Gpa[] = [];
  for (const slot of machine.vm.slots) {
    const offset = at - slot.userspaceAddr;
    if (offset >= 0 && offset < slot.npages * PAGE_SIZE)
      gpas.push(gpa(gpaOf(slot.baseGfn) + offset));
  }
  return gpas.length > 0 ? found(gpas) : missing(`no memslot is backed by hva:${hex(at)}`);
}

/** The page of the process that lies in a host frame. */
export function hvaOfHpa(machine: Machine, at: Hpa): Located<Hva> {
  if (!machine.vm) return missing(NO_HYPERVISOR);
  const page = machine.vm.core.state.hostProcess.hvaOf(pfnOf(at));
  if (page !== undefined) return found(hva(page + pageOffset(at)));
  const shadow = machine.vm.findPage(at);
  if (shadow)
    return missing(
      `hpa:${hex(at)} is in the shadow page of gfn:${hex(shadow.gfn)}, not guest memory`,
    );
  return missing(`hpa:${hex(at)} holds no page of the guest`);
}
