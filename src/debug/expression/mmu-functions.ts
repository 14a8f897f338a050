import { type MemorySlot, rootPages, type ShadowPage, type Vm } from "../../kvm";
import { type Gfn, gfn, PAGE_SIZE } from "../../x86";
import { addressOf, aNumber, anAddress, type FunctionRow, numberOr } from "./function-row";
import { shadowPageValue, slotValue, spteAt } from "./mmu-value";
import type { Scope } from "./scope";
import { boolean, fault, field, integer, listOf, none, text, type Value } from "./value";

const NO_VM = 'there is no hypervisor under "mmu": "none": start with "mmu": "shadow"';

/** A function of the hypervisor's state: without one it is a fault that says so. */
function ofVm(
  row: Omit<FunctionRow, "apply">,
  apply: (vm: Vm, scope: Scope, values: readonly Value[]) => Value | string,
): FunctionRow {
  return {
    ...row,
    apply: (scope, values) =>
      scope.machine.vm ? apply(scope.machine.vm, scope, values) : fault(NO_VM),
  };
}

const aGpa = anAddress("gpa", "gfn");

/** Frame of a checked gpa or gfn argument. */
function frameOf(value: Value | undefined): Gfn {
  const at = addressOf(value, "gpa");
  const number = at.space === "gfn" ? at.value : at.value >> 12n;
  return gfn(Number(BigInt.asUintN(52, number)));
}

const slotOf = (vm: Vm, frame: Gfn): MemorySlot | undefined =>
  vm.slots.find((slot) => slot.contains(frame));
const noSlot = (frame: Gfn): Value => fault(`no memslot holds gfn:0x${frame.toString(16)}`);

export const mmuFunctions: readonly FunctionRow[] = [
  ofVm(
    {
      name: "slot",
      signature: "slot(gpa)",
      about: "The memslot that holds a guest physical address",
      parameters: [aGpa],
    },
    (vm, _scope, [value]) => {
      const slot = slotOf(vm, frameOf(value));
      return slot ? slotValue(slot) : noSlot(frameOf(value));
    },
  ),
  ofVm({ name: "slots", signature: "slots()", about: "All memslots", parameters: [] }, (vm) =>
    listOf(vm.slots.map(slotValue)),
  ),
  ofVm(
    {
      name: "rmap",
      signature: "rmap(gpa)",
      about: "Every spte that maps the page of a guest physical address",
      parameters: [aGpa],
    },
    (vm, _scope, [value]) => {
      const frame = frameOf(value);
      if (!slotOf(vm, frame)) return noSlot(frame);
      return listOf(vm.leavesOf(frame).map((sptep) => spteAt(vm, sptep)));
    },
  ),
  ofVm(
    {
      name: "sp",
      signature: "sp(gpa[, role])",
      about: "The shadow pages of the guest table at an address; with a role only that one",
      parameters: [aGpa, aNumber],
      least: 1,
    },
    (vm, _scope, [value, role]) => {
      const frame = frameOf(value);
      const wanted = role && numberOr(role, 0);
      const pages = vm
        .pagesOf(frame)
        .filter((page) => (wanted === undefined ? page.hasGptes : page.role === wanted));
      const [only] = pages;
      if (!only) return none(`gfn:0x${frame.toString(16)} is not shadowed`);
      return pages.length === 1
        ? shadowPageValue(vm, only)
        : listOf(pages.map((p) => shadowPageValue(vm, p)));
    },
  ),
  ofVm(
    { name: "roots", signature: "roots()", about: "The shadow root of each vCPU", parameters: [] },
    (vm) =>
      listOf(
        vm.vcpus.flatMap(({ id, mmu }) =>
          rootPages(mmu.root).map((page) => rootValue(vm, id, page)),
        ),
      ),
  ),
  ofVm(
    {
      name: "unsync",
      signature: "unsync()",
      about: "The shadow pages that may differ from their guest tables",
      parameters: [],
    },
    (vm) =>
      listOf(
        [...vm.activePages()]
          .filter((page) => page.unsync)
          .map((page) => shadowPageValue(vm, page)),
      ),
  ),
  ofVm(
    {
      name: "dirty",
      signature: "dirty(gpa or slot number)",
      about: "Whether a page is in the dirty log; of a slot, the frames that are",
      parameters: [anAddress("gpa", "gfn")],
    },
    (vm, _scope, [value]) => {
      if (value?.kind === "integer") return dirtyFrames(vm, Number(value.value));
      const frame = frameOf(value);
      const slot = slotOf(vm, frame);
      if (!slot) return noSlot(frame);
      return slot.logsDirty
        ? boolean(slot.isDirty(frame))
        : none(`slot ${slot.id} keeps no dirty log`);
    },
  ),
];

function rootValue(vm: Vm, vcpu: number, page: ShadowPage): Value {
  const value = shadowPageValue(vm, page);
  if (value.kind !== "record") return value;
  return {
    ...value,
    summary: `vcpu ${vcpu}: ${value.summary}`,
    fields: [field("vcpu", () => integer(vcpu)), ...value.fields],
  };
}

function dirtyFrames(vm: Vm, id: number): Value | string {
  const slot = vm.slots.find((s) => s.id === id);
  if (!slot) return `there is no slot ${id}: slots() lists them`;
  if (!slot.logsDirty) return none(`slot ${id} keeps no dirty log`);
  const frames: Gfn[] = [];
  for (let i = 0; i < slot.npages; i++) {
    const frame = gfn(slot.baseGfn + i);
    if (slot.isDirty(frame)) frames.push(frame);
  }
  const summary = `${frames.length} of ${slot.npages} pages dirty`;
  return { ...listOf(frames.map((f) => text(`0x${(f * PAGE_SIZE).toString(16)}`))), summary };
}
