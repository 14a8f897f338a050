import assert from "node:assert/strict";
import { missingInstruction } from "../../../src/debug";
import { Code, guestImage, machineWith } from "../../machine/guest-code";

describe("an instruction that Penumbra does not have", () => {
  it("is written out where the guest is stopped before it", () => {
    const addps = [0x0f, 0x58, 0xc1];
    const machine = machineWith(
      guestImage(
        new Code()
          .nop()
          .raw(...addps)
          .exit(0),
      ),
    );
    const stop = machine.run(100);
    assert.equal(stop.kind, "unimplemented");
    const state = machine.vcpus[0]?.state;
    assert.ok(stop.kind === "unimplemented" && state);
    assert.equal(
      missingInstruction(stop.text, state),
      "not implemented: addps xmm0, xmm1 at 0x10000d",
    );
  });

  it("other reasons are passed through", () => {
    const machine = machineWith(guestImage(new Code().nop()));
    const state = machine.vcpus[0]?.state;
    assert.ok(state);
    const text = "the host has no free frame";
    assert.equal(missingInstruction(text, state), text);
  });
});
