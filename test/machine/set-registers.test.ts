import assert from "node:assert/strict";
import type { MmuMode } from "../../src/machine";
import { CR4, EFER } from "../../src/x86";
import { LongGuest, PTE } from "./long-guest";

const NOPS = [0x90, 0x90, 0x90, 0x90, 0xf4];
/** Four PDPTEs, and the directory of the first. */
const PDPTES = 0x300020;
const DIRECTORY = 0x301000;
const MODES: readonly MmuMode[] = ["none", "shadow", "ept", "npt"];

/** A guest in 64-bit code, stopped after its first instruction; below it tables for PAE paging. */
function stopped(mmu: MmuMode, pdpte: bigint): LongGuest {
  const guest = new LongGuest(NOPS, { mmu });
  assert.equal(guest.machine.step(0).kind, "limit");
  guest.write(PDPTES, BigInt(DIRECTORY) | PTE.P);
  guest.write(PDPTES + 8, pdpte);
  guest.write(DIRECTORY, PTE.P | PTE.W | 0x80n);
  return guest;
}

/** CR0, CR3, CR4 and EFER of PAE paging, as a debugger writes them. */
function choosePae({ state }: LongGuest): void {
  state.cr3 = BigInt(PDPTES);
  state.efer = EFER.NX;
  state.cr4 = CR4.PAE;
}

describe("control registers that are written while stopped", () => {
  for (const mmu of MODES) {
    it(`a PDPTE with a reserved bit is refused with a sentence, and nothing changes (${mmu})`, () => {
      const guest = stopped(mmu, 0x302003n);
      const { machine, state } = guest;
      const before = [state.cr0, state.cr3, state.cr4, state.efer, state.rip];
      const whole = machine.save();
      choosePae(guest);
      const stop = machine.run(1);
      assert.deepEqual(stop, {
        kind: "run-error",
        vcpu: 0,
        text: "the control registers are back to what they were: PAE paging would load a PDPTE with a reserved bit set from 0x300020, so mend it or choose another CR3",
      });
      assert.deepEqual([state.cr0, state.cr3, state.cr4, state.efer, state.rip], before);
      assert.deepEqual(machine.save(), whole);
      assert.equal(machine.step(0).kind, "limit", "the guest goes on in its own mode");
      assert.deepEqual(guest.exceptions, []);
      assert.deepEqual(machine.vm?.check() ?? [], []);
    });

    it(`good ones are loaded, and count from the next instruction on (${mmu})`, () => {
      const guest = stopped(mmu, 0n);
      choosePae(guest);
      // Absent bits in a segment made for 64-bit code do not matter to its base and limit.
      assert.equal(guest.machine.step(0).kind, "limit");
      assert.deepEqual([guest.exceptions, guest.retired], [[], 2]);
      assert.deepEqual(guest.machine.vm?.check() ?? [], []);
    });
  }

  it("they are no exits: KVM_SET_SREGS does not run the guest", () => {
    for (const mmu of MODES.slice(1)) {
      const guest = stopped(mmu, 0n);
      const seen: string[] = [];
      guest.machine.trace.on("*", ({ name, fields }) => {
        if (["kvm_cr", "kvm_msr"].includes(name) || fields.reason === "CR_ACCESS") seen.push(name);
      });
      choosePae(guest);
      guest.machine.step(0);
      assert.deepEqual(seen, [], mmu);
    }
  });
});
