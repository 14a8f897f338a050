import { CR0, CR4, EFER } from "../../../src/x86";
import type { PlainVcpu } from "./plain-vcpu";
import type { Mode } from "./setup";

/** The manual lets the register take this value now (SDM 2B MOV, 3A 4.1.2, 4.10.1); otherwise it is #GP. */
export function isLegal(vcpu: PlainVcpu, register: "cr0" | "cr4" | "efer", value: bigint): boolean {
  const changed = vcpu[register] ^ value;
  const paging = (vcpu.cr0 & CR0.PG) !== 0n;
  const long = (vcpu.efer & EFER.LMA) !== 0n;
  if (register === "efer") return !(changed & EFER.LME && paging);
  if (register === "cr4") {
    if (long && changed & (CR4.PAE | CR4.LA57)) return false;
    return !(changed & value & CR4.PCIDE) || (long && (vcpu.cr3 & 0xfffn) === 0n);
  }
  if (!(changed & CR0.PG)) return true;
  if (!(value & CR0.PG)) return !(vcpu.cr4 & CR4.PCIDE);
  return !(vcpu.efer & EFER.LME) || (vcpu.cr4 & CR4.PAE) !== 0n;
}

/** Bits of CR4 and EFER that make a mode; the others stay as they are. */
export function modeBits(mode: Mode): { readonly cr4: bigint; readonly efer: bigint } {
  switch (mode) {
    case "none":
    case "32-bit":
      return { cr4: 0n, efer: 0n };
    case "PAE":
      return { cr4: CR4.PAE, efer: 0n };
    case "4-level":
      return { cr4: CR4.PAE, efer: EFER.LME };
    case "5-level":
      return { cr4: CR4.PAE | CR4.LA57, efer: EFER.LME };
  }
}

/** Bits that a mode switch sets or clears. */
export const MODE_CR4 = CR4.PAE | CR4.LA57;
export const MODE_EFER = EFER.LME;
