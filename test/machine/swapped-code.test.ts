import assert from "node:assert/strict";
import { CODE_AT, Code, guestImage, machineWith, outputOf } from "./guest-code";

const PAGE = 0x200000;
/** Port of the test device: the host swaps out the page at the address written. */
const DROP = 0xe4;
/** Each takes three frames: together several times what the host has. */
const ROUNDS = 2600;

/** A function that prints a byte: mov al, 0; mov edx, e9h; out dx, al; ret */
const PRINTS = Uint8Array.from([0xb0, 0, 0xba, 0xe9, 0, 0, 0, 0xee, 0xc3]);

describe("code in a page that the host swaps", () => {
  it("runs as it is now, not as it was when it last lay in the same host frame", () => {
    const code = new Code(CODE_AT).stack(0x300000);
    code.raw(0xbd, ROUNDS & 0xff, ROUNDS >> 8, 0, 0); // mov ebp, ROUNDS
    const loop = code.here;
    const call = () => code.raw(0xb9, 0, 0, 0x20, 0, 0xff, 0xd1).out32(DROP, PAGE); // mov ecx, PAGE; call ecx
    call();
    code.raw(0xfe, 0x05, 1, 0, 0x20, 0).out32(DROP, PAGE); // inc byte [PAGE + 1]
    call();
    code.raw(0x4d, 0x75, (loop - code.here - 3) & 0xff).exit(0); // dec ebp; jnz loop
    const image = guestImage(code, { at: PAGE, bytes: PRINTS });
    for (const mmu of ["none", "shadow", "ept", "npt"] as const) {
      const machine = machineWith(image, { mmu });
      const output = outputOf(machine);
      assert.deepEqual(machine.run(200_000), { kind: "exit", value: 0 });
      const wanted = (i: number) => Math.ceil(i / 2) & 0xff;
      const wrong = [...output.text].findIndex((c, i) => c.charCodeAt(0) !== wanted(i));
      assert.deepEqual([wrong, output.text.length], [-1, 2 * ROUNDS], mmu);
    }
  });
});
