import {
  type Entry,
  type Gpa,
  gpa,
  type PdpteRegisters,
  pdpteRegisters,
  pdpteTable,
  type TablePort,
  topTable,
  type WalkRoot,
} from "../../x86";
import type { MmuContext } from "../mmu/context";

/**
 * Where a walk of what `context.mmu` shadows starts: the table of CR3 or nCR3, or under PAE paging the
 * PDPTEs.
 */
export function guestTables(context: MmuContext, port: TablePort<Gpa>): WalkRoot<Gpa> {
  const { format } = context.mode.guestRules;
  return format.rootInRegisters ? pdptesOf(context, port) : gpa(topTable(format.mode, context.pgd));
}

/** The PDPTEs; those of nested paging are memory, read each time (nested_svm_get_tdp_pdptr). */
export function pdptesOf(context: MmuContext, port: TablePort<Gpa>): PdpteRegisters {
  if (!context.isNested) return context.pdptrs;
  const words = pdpteRegisters();
  const entry: Entry = { lo: 0, hi: 0 };
  for (let i = 0; i < words.length / 2; i++) {
    if (!port.load(gpa(pdpteTable(context.pgd) + 8 * i), 8, entry)) continue;
    words[2 * i] = entry.lo;
    words[2 * i + 1] = entry.hi;
  }
  return words;
}
