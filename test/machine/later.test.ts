import assert from "node:assert/strict";
import type { MmuMode } from "../../src/machine";
import { Code, guestImage, machineWith } from "./guest-code";

const MODES: readonly MmuMode[] = ["none", "shadow", "ept", "npt"];
const UNDEFINED = 6;
const PROTECTION = 13;

/** Vector of the first exception that the code raises; it has no handlers. */
function raised(mmu: MmuMode, code: Code): unknown {
  const machine = machineWith(guestImage(code), { mmu });
  const vectors: unknown[] = [];
  machine.trace.on("exception", ({ fields }) => vectors.push(fields.vector));
  machine.run(1000);
  return vectors[0];
}

const u32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
/** mov reg, value */
const MOV = { eax: 0xb8, ecx: 0xb9 };
/** mov eax, reg */
const TO_EAX = { eax: [0x90], ebx: [0x89, 0xd8], ecx: [0x89, 0xc8], edx: [0x89, 0xd0] };

/** Bits of `mask` that CPUID shows in a register of a leaf. */
function shown(mmu: MmuMode, leaf: number, register: keyof typeof TO_EAX, mask: number): unknown {
  const code = new Code().raw(MOV.eax, ...u32(leaf), MOV.ecx, ...u32(0), 0x0f, 0xa2);
  code.raw(...TO_EAX[register], 0x25, ...u32(mask), 0xba, ...u32(0xf4), 0xef);
  const stop = machineWith(guestImage(code), { mmu }).run(1000);
  assert.equal(stop.kind, "exit");
  return stop.kind === "exit" ? stop.value : undefined;
}

describe("what a later part owns is refused until then", () => {
  for (const mmu of MODES) {
    it(`F-027 F-189 nested virtualization: instructions are #UD, CPUID has no bit (${mmu})`, () => {
      // VMRUN … INVLPGA, then VMXON, VMCLEAR, VMPTRLD, VMLAUNCH.
      for (const last of [0xd8, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf])
        assert.equal(raised(mmu, new Code().raw(0x0f, 0x01, last)), UNDEFINED);
      for (const bytes of [
        [0xf3, 0x0f, 0xc7, 0x30],
        [0x66, 0x0f, 0xc7, 0x30],
        [0x0f, 0xc7, 0x30],
        [0x0f, 0x01, 0xc2],
      ])
        assert.equal(raised(mmu, new Code().raw(...bytes)), UNDEFINED, String(bytes));
      assert.equal(shown(mmu, 1, "ecx", 1 << 5), 0);
      assert.equal(shown(mmu, 0x80000001, "ecx", 1 << 2), 0);
    });

    it(`F-061 system management mode: RSM is #UD (${mmu})`, () => {
      assert.equal(raised(mmu, new Code().raw(0x0f, 0xaa)), UNDEFINED);
    });

    it(`F-176 F-177 F-178 paravirtual MSRs: reading and writing is #GP (${mmu})`, () => {
      for (const msr of [0x11, 0x12, 0x4b564d00, 0x4b564d01, 0x4b564d03, 0x4b564d04])
        for (const opcode of [0x32, 0x30])
          assert.equal(raised(mmu, new Code().raw(MOV.ecx, ...u32(msr), 0x0f, opcode)), PROTECTION);
    });
  }

  for (const mmu of ["shadow", "ept", "npt"] as const)
    it(`F-173 F-174 F-190 CPUID has KVM's signature and none of its features (${mmu})`, () => {
      assert.equal(shown(mmu, 0x40000000, "ebx", 0x7fffffff), 0x4b4d564b);
      assert.equal(shown(mmu, 0x40000001, "eax", 0x7fffffff), 0);
    });
});
