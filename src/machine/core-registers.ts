import type { GuestCpu } from "../kvm";
import { ALLOW, FLAG, S, type VcpuCore } from "../x86";

/** A core's registers as the hypervisor's MMU reads them, live. */
export function guestCpuOf(core: VcpuCore): GuestCpu {
  return {
    get cr0() {
      return core.state.cr0;
    },
    get cr3() {
      return core.state.cr3;
    },
    get cr4() {
      return core.state.cr4;
    },
    get efer() {
      return core.state.efer;
    },
    get cpl() {
      return core.state.cpl;
    },
    get ac() {
      return (core.state.u64(S.rflags) & FLAG.AC) !== 0n;
    },
    get pkru() {
      return core.state.u32(S.pkru);
    },
    get rip() {
      return core.state.rip;
    },
    get delivering() {
      return core.delivering;
    },
    tlbEntries: () =>
      core.tlbEntries().map(({ va, offset, allow }) => ({
        va,
        offset,
        writable: (allow & ALLOW.write) !== 0,
      })),
    setPdptes(words) {
      for (const [i, word] of words.entries()) core.state.setU32(S.pdpte + 4 * i, word);
    },
    flushTlb: () => core.flushTlb(false),
    flushTlbPage: (va) => core.flushTlbPage(va),
  };
}
