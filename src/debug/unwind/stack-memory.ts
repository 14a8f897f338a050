import type { Machine } from "../../machine";
import { gva } from "../../x86";
import { ByteReader } from "../byte-reader";

/** The guest's memory as one vCPU sees it, for the unwinder and for variables. */
export interface StackMemory {
  /** `undefined` when not all of it is mapped. */
  read(address: bigint, size: number): Uint8Array | undefined;
  word(address: bigint, size: number): bigint | undefined;
}

export function stackMemory(machine: Machine, vcpu: number): StackMemory {
  const space = machine.gva(vcpu);
  const read = (address: bigint, size: number): Uint8Array | undefined => {
    const bytes = space.read(gva(address), size);
    return bytes.length === size ? bytes : undefined;
  };
  const word = (address: bigint, size: number): bigint | undefined => {
    const bytes = read(address, size);
    return bytes && new ByteReader(bytes).unsigned(size);
  };
  return { read, word };
}
