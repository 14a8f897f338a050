import type { Annotate, Symbols } from "../debug";
import type { Machine } from "../machine";
import { hex } from "./memory-reference";

const PAGE = 4096;

/** How addresses are annotated wherever they are printed: gvas with symbols, gpas with their memslot. */
export const annotating = (machine: Machine, symbols: Symbols): Annotate => ({
  address: (space, value) => {
    if (space === "gva") return symbols.describe(value);
    return space === "gpa" ? slotText(machine, Number(value)) : undefined;
  },
});

function slotText({ vm }: Machine, at: number): string | undefined {
  const slot = vm?.slots.find(
    ({ baseGfn, npages }) => at >= baseGfn * PAGE && at < (baseGfn + npages) * PAGE,
  );
  return slot && `slot ${slot.id} +${hex(at - slot.baseGfn * PAGE)}`;
}
