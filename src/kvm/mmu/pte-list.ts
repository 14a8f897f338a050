import type { Sptep } from "./spte";

/**
 * A reverse-map word: nothing, one spte, or many (kernel: bit 0 of the word). The array stands for
 * the kernel's chain of descriptors of 14: its end is the head descriptor, where entries are added
 * and from which a hole is filled, so tails are always full.
 */
export type PteList = 0 | Sptep | Sptep[];

const PER_DESCRIPTOR = 14;

export const pteListCount = (list: PteList): number =>
  typeof list === "number" ? (list === 0 ? 0 : 1) : list.length;

export const pteListKind = (list: PteList): "none" | "one" | "many" =>
  typeof list === "number" ? (list === 0 ? "none" : "one") : "many";

/** Adding an entry takes a new descriptor: the second one, and whenever the head is full. */
export const needsDescriptor = (list: PteList): boolean =>
  typeof list === "number" ? list !== 0 : list.length % PER_DESCRIPTOR === 0;

/** The word after adding `sptep`. A list of many is changed in place. */
export function pteListAdd(list: PteList, sptep: Sptep): PteList {
  if (typeof list === "number") return list === 0 ? sptep : [list, sptep];
  list.push(sptep);
  return list;
}

/** The word after removing `sptep`, which must be in it. */
export function pteListRemove(list: PteList, sptep: Sptep): PteList {
  if (typeof list === "number") {
    if (list !== sptep) throw new Error(`pte list: entry ${sptep} is not the one entry ${list}`);
    return 0;
  }
  const at = list.lastIndexOf(sptep);
  if (at < 0) throw new Error(`pte list: entry ${sptep} is not among ${list.length} entries`);
  const last = list.pop()!;
  if (at < list.length) list[at] = last;
  return list.length === 1 ? list[0]! : list;
}

/** Entries in the order the kernel visits them: head descriptor first, each from its start. */
export function pteListEntries(list: PteList): readonly Sptep[] {
  if (typeof list === "number") return list === 0 ? [] : [list];
  const inHead = list.length % PER_DESCRIPTOR || PER_DESCRIPTOR;
  const entries = list.slice(list.length - inHead);
  for (let end = list.length - inHead; end > 0; end -= PER_DESCRIPTOR) {
    entries.push(...list.slice(end - PER_DESCRIPTOR, end));
  }
  return entries;
}
