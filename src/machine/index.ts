export { createMachine } from "./create-machine";
export { MACHINE_EVENTS } from "./events";
export { guestRoot, guestWalk, passiveTables } from "./guest-walk";
export type { HostControl } from "./host-control";
export { ELF_MACHINE, type ElfFile, type ElfSegment, isElf, readElf } from "./loaders/elf";
export {
  type ElfSection,
  type ElfSymbol,
  readElfSections,
  readElfSymbols,
  SECTION_COMPRESSED,
  SECTION_TYPE,
  SYMBOL_TYPE,
} from "./loaders/elf-sections";
export * from "./machine";
export { guestMemoryMap, MAX_RAM, MAX_VCPUS, MIN_RAM } from "./memory-map";
export type { Refusal } from "./refusal";
export { MEMORY_BACKINGS, type MemoryBacking, type SlotRequest } from "./slot-backing";
export { flagsOf, type SlotControl, type SlotOutcome } from "./slot-control";
