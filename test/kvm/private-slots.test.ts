import assert from "node:assert/strict";
import { GUEST_HVA } from "../../src/host";
import type { RegionOutcome } from "../../src/kvm";
import { checked } from "./checked";
import { Guest } from "./guest";
import { touchedGuest } from "./tables";
import { vmWithoutVcpus } from "./without-vcpus";

const HIGHEST = 0xffffd000;

function refusal(outcome: RegionOutcome | undefined): [string, string] {
  assert.ok(outcome?.kind === "refused");
  return [outcome.errno, outcome.reason];
}

describe("KVM_SET_TSS_ADDR", () => {
  it("F-167 makes three pages that are KVM's own, below 4 GB", () => {
    const g = touchedGuest(checked);
    const outcome = g.vm.setTssAddr(HIGHEST);
    assert.deepEqual(outcome, { kind: "done", change: "create" });
    const slot = g.vm.slots.at(-1);
    assert.ok(slot);
    assert.deepEqual(
      [slot.id, slot.baseGfn * 4096, slot.npages, slot.userspaceAddr],
      [32764, HIGHEST, 3, GUEST_HVA - 0x3000],
    );
    assert.equal(g.setSlot(slot.id, 0, 0, 0), "EINVAL");
    g.entry(0x4040, HIGHEST + 0x2067);
    g.write(3, 0x8000, 0x89);
    assert.deepEqual(g.read(3, 0x8000), { kind: "ok", value: 0x89n, emulated: false });
  });

  it("F-167 refuses an address above, between pages, or where a slot is, and a second one", () => {
    const g = touchedGuest(checked);
    const before = g.vm.generation;
    const [above, why] = refusal(g.vm.setTssAddr(HIGHEST + 0x1000));
    assert.equal(above, "EINVAL");
    assert.match(why, /TSS at 0xffffe000 does not lie below 4 GB: choose 0xffffd000 or less/);
    assert.equal(refusal(g.vm.setTssAddr(2 ** 32))[0], "EINVAL");
    assert.equal(refusal(g.vm.setTssAddr(0x10000800))[0], "EINVAL");
    const [overlap, where] = refusal(g.vm.setTssAddr(0xffe000));
    assert.equal(overlap, "EEXIST");
    assert.match(where, /overlaps slot 0 at gpa 0x0/);
    assert.equal(g.vm.generation, before);
    g.vm.setTssAddr(0x10000000);
    assert.equal(refusal(g.vm.setTssAddr(0x20000000))[0], "EEXIST");
    assert.equal(g.setSlot(1, 0x10002, 0x100, GUEST_HVA), "EEXIST");
  });
});

describe("KVM_SET_IDENTITY_MAP_ADDR", () => {
  it("F-167 is set before the first vCPU; 0 means the usual place", () => {
    const vm = vmWithoutVcpus();
    assert.equal(vm.identityMapAddr, 0xfffbc000);
    assert.equal(vm.setIdentityMapAddr(0x10000000), undefined);
    assert.equal(vm.identityMapAddr, 0x10000000);
    assert.equal(vm.setIdentityMapAddr(0), undefined);
    assert.equal(vm.identityMapAddr, 0xfffbc000);
  });

  it("F-167 is refused later, above 4 GB and between pages", () => {
    const { vm } = new Guest();
    assert.match(vm.setIdentityMapAddr(0x10000000)?.reason ?? "", /before the first vCPU/);
    const other = vmWithoutVcpus();
    for (const address of [2 ** 32, 0x10000010])
      assert.equal(other.setIdentityMapAddr(address)?.errno, "EINVAL");
    assert.equal(other.identityMapAddr, 0xfffbc000);
  });
});
