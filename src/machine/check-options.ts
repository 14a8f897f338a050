import { PROFILES } from "../kvm";
import { wrongSlots } from "./guest-ram";
import type { MachineOptions } from "./machine";
import { MAX_RAM, MAX_VCPUS, MIN_RAM } from "./memory-map";
import { hex, type Refusal, refuse } from "./refusal";

const PAGE = 4096;

/** The first thing wrong with the options, or nothing. */
export function wrongOptions(options: MachineOptions): Refusal | undefined {
  const { memory, vcpus, memslots, mmu } = options;
  if (!Number.isSafeInteger(memory) || memory % PAGE !== 0)
    return refuse(`memory: ${memory} bytes is not a multiple of ${hex(PAGE)}: write 64M, say`);
  if (memory < MIN_RAM || memory > MAX_RAM)
    return refuse(`memory: ${hex(memory)} bytes is outside 1M … 3G: choose a size between them`);
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > MAX_VCPUS)
    return refuse(`vcpus: ${vcpus} is outside 1 … ${MAX_VCPUS}: choose a number between them`);
  if (mmu === "none" && usesHost(options))
    return refuse(
      "backing and host memory belong to a hypervisor: leave them out or choose mmu shadow",
    );
  const trees = wrongTrees(options);
  if (trees) return trees;
  if (!memslots) return undefined;
  if (mmu === "none" && memslots.some(({ flags }) => flags.length > 0))
    return refuse("memslots: flags belong to a hypervisor: leave them out or choose mmu shadow");
  return wrongSlots(memslots);
}

const usesHost = ({ backing, hostMemory, memslots = [] }: MachineOptions): boolean =>
  [backing, hostMemory, ...memslots.map((slot) => slot.backing)].some((x) => x !== undefined);

function wrongTrees({ mmu, era, tdpMmu }: MachineOptions): Refusal | undefined {
  if (tdpMmu === undefined) return undefined;
  if (mmu !== "ept" && mmu !== "npt")
    return refuse(
      `tdpMmu belongs to two-dimensional paging: leave it out under mmu ${mmu}, or choose mmu ept or npt`,
    );
  return tdpMmu && PROFILES.some((profile) => profile.era === era && !profile.tdpMmu)
    ? refuse(`tdpMmu: the era ${era} has no TDP MMU: leave it out, or choose the era modern`)
    : undefined;
}
