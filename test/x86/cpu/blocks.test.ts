import assert from "node:assert/strict";
import { FLAG, S } from "../../../src/x86/cpu/layout";
import { CODE_AT, Guest } from "./support/guest";

const hexState = (guest: Guest): string =>
  [
    ...Array.from({ length: 16 }, (_, n) => guest.state.gpr(n).toString(16)),
    guest.state.rip.toString(16),
    guest.state.rflags.toString(16),
    guest.state.u64(S.lfRes).toString(16),
    guest.state.u64(S.lfCv).toString(16),
  ].join(" ");

/** Loops, calls, REP, flags, memory: several kinds of blocks. */
const MIXTURE = `
  b90a000000          /* mov ecx, 10            */
  51                  /* again: push rcx        */
  48ffc0              /* inc rax                */
  e81a000000          /* call sub               */
  bf00400000          /* mov edi, 0x4000        */
  b950000000          /* mov ecx, 0x50          */
  f3aa                /* rep stosb              */
  9c 5a               /* pushf; pop rdx         */
  4831d3              /* xor rbx, rdx           */
  59                  /* pop rcx                */
  48ffc9              /* dec rcx                */
  75e0                /* jnz again              */
  f4                  /* hlt                    */
  90 90
  4801c3              /* sub: add rbx, rax      */
  48d1c3              /* rol rbx, 1             */
  48115c24f0          /* adc [rsp-16], rbx      */
  c3                  /* ret                    */
`.replaceAll(/\/\*.*\*\//g, "");

/** Repeatable numbers for slice lengths. */
function* sliceLengths(seed: number): Generator<number> {
  let x = seed;
  for (;;) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    yield 1 + ((x >>> 16) % 37);
  }
}

describe("budgets", () => {
  const whole = new Guest().code(MIXTURE);
  const { why, retired } = whole.run();

  it("run a program to its end", () => {
    assert.equal(why, "halt");
    assert.equal(retired, 2 + 10 * (15 + 0x50));
  });

  it("random slices end in the same state after the same count", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const guest = new Guest().code(MIXTURE);
      let total = 0;
      for (const length of sliceLengths(seed)) {
        const slice = guest.run(length);
        assert.ok(slice.retired <= length);
        total += slice.retired;
        if (slice.why !== "budget") break;
        assert.equal(slice.retired, length);
      }
      assert.equal(total, retired);
      assert.equal(hexState(guest), hexState(whole));
      assert.deepEqual(guest.ram, whole.ram);
    }
  });

  it("single steps pass through the states of any other slicing", () => {
    const steps = new Guest().code(MIXTURE);
    const states: string[] = [hexState(steps)];
    while (steps.run(1).why === "budget") states.push(hexState(steps));
    const sliced = new Guest().code(MIXTURE);
    let at = 0;
    for (const length of sliceLengths(99)) {
      const slice = sliced.run(length);
      at += slice.retired;
      if (slice.why !== "budget") break;
      assert.equal(hexState(sliced), states[at]);
    }
  });

  it("a small arena only costs time", () => {
    const small = new Guest({ arenaBytes: 4096 }).code(MIXTURE);
    assert.equal(small.run().retired, retired);
    assert.equal(hexState(small), hexState(whole));
  });
});

describe("self-modifying code", () => {
  it("a store to an instruction ahead in the same block takes effect", () => {
    // mov byte [rip+1], 0x05 changes the immediate of the mov that follows it; hlt
    const guest = new Guest().code("c6050100000005 b801000000 f4");
    guest.run();
    assert.equal(guest.get("rax"), 5n);
  });

  it("a loop that counts by changing its own immediate", () => {
    // again: mov eax, 0; inc dword [rip-9]; cmp eax, 5; jnz again; hlt
    const guest = new Guest().code("b800000000 ff05f6ffffff 83f805 75f0 f4");
    assert.equal(guest.run().why, "halt");
    assert.equal(guest.get("rax"), 5n);
  });

  it("data beside code is stored without dropping the code", () => {
    // mov ecx, 1000; again: inc dword [0x1800]; dec ecx; jnz again; hlt
    const guest = new Guest().code("b9e8030000 ff042500180000 ffc9 75f5 f4");
    guest.run();
    assert.equal(guest.read(0x1800, 4), 1000n);
  });

  it("code written by TypeScript runs as written", () => {
    const guest = new Guest().code("b801000000 f4");
    guest.run();
    guest.code("b802000000 f4");
    guest.state.rip = BigInt(CODE_AT);
    guest.state.setU32(S.activity, 0);
    guest.run();
    assert.equal(guest.get("rax"), 2n);
  });

  it("REP MOVS over the code that runs after it", () => {
    // mov ecx, 6; rep movsb; (target) mov eax, 1; hlt
    const guest = new Guest().code("b906000000 f3a4 b801000000 f4");
    guest.bytes(0x4000, Buffer.from("b844332211f4", "hex"));
    guest
      .set("rsi", 0x4000n)
      .set("rdi", BigInt(CODE_AT + 7))
      .run();
    assert.equal(guest.get("rax"), 0x11223344n);
  });

  it("a frame mapped twice: a store through one address changes code at the other", () => {
    const guest = new Guest().code(
      "c6042501800000 07 b801000000 f4".replace("01800000", "09800000"),
    );
    guest.board.pages.set(8, { kind: "ram", frame: 1 });
    guest.run();
    assert.equal(guest.get("rax"), 7n);
  });
});

describe("page boundaries", () => {
  it("an instruction may reach into the next page", () => {
    const guest = new Guest().code("b878563412 f4", 0x1ffd);
    guest.state.rip = 0x1ffdn;
    guest.run();
    assert.equal(guest.get("rax"), 0x12345678n);
  });

  it("the fetch of its second half faults at the second page's address", () => {
    const guest = new Guest().code("90 b878563412 f4", 0x1ffc);
    guest.state.rip = 0x1ffcn;
    guest.board.pages.set(2, { kind: "missing" });
    guest.board.stopAtFaults = true;
    assert.deepEqual(guest.run(), { why: "stop", retired: 1 });
    assert.equal(guest.state.rip, 0x1ffdn);
    assert.deepEqual(guest.board.faults, [{ vector: 14, error: 0x10, cr2: 0x2000n }]);
  });

  it("loads, stores and read-modify-writes cross pages", () => {
    // mov [0x4ffd], rax; add qword [0x4ffd], 1; mov rbx, [0x4ffd]; hlt
    const guest = new Guest().code("48890425fd4f0000 48830425fd4f000001 488b1c25fd4f0000 f4");
    guest.set("rax", 0x1122_3344_5566_77ffn).run();
    assert.equal(guest.get("rbx"), 0x1122_3344_5566_7800n);
    assert.equal(guest.read(0x4ffd, 8), 0x1122_3344_5566_7800n);
  });

  it("a store whose second page is missing changes neither", () => {
    const guest = new Guest().code("48890425fd4f0000 f4").set("rax", -1n);
    guest.board.pages.set(5, { kind: "missing" });
    guest.board.stopAtFaults = true;
    guest.run();
    assert.deepEqual(guest.board.faults, [{ vector: 14, error: 2, cr2: 0x5000n }]);
    assert.equal(guest.read(0x4ff8, 8), 0n);
  });

  it("REP MOVS stops in the middle with whole iterations done", () => {
    const guest = new Guest().code("b900200000 f348a5 f4").set("rsi", 0x10000n);
    guest.set("rdi", 0x20010n);
    guest.board.pages.set(0x23, { kind: "missing" });
    guest.board.stopAtFaults = true;
    const { why, retired } = guest.run();
    const done = (0x23000 - 0x20010) / 8;
    assert.equal(why, "stop");
    assert.equal(retired, 1 + done);
    assert.equal(guest.get("rcx"), BigInt(0x2000 - done));
    assert.equal(guest.get("rdi"), 0x23000n);
    assert.equal(guest.get("rsi"), BigInt(0x10000 + 8 * done));
    assert.equal(guest.state.rip, BigInt(CODE_AT + 5));
    assert.equal(guest.board.faults[0]?.cr2, 0x23000n);
  });
});

describe("accesses that are not plain", () => {
  it("a device sees one access of the right size, also in a read-modify-write", () => {
    // mov eax, [0x5010]; add dword [0x5010], 1; mov [0x5018], rax; hlt
    const guest = new Guest().code("8b042510500000 8304251050000001 4889042518500000 f4");
    guest.board.pages.set(5, { kind: "device" });
    guest.board.deviceValue = 0x1234n;
    guest.run();
    assert.equal(guest.get("rax"), 0x1234n);
    assert.deepEqual(guest.board.log, [
      "read 5010 4",
      "read 5010 4",
      "write 5010 4 1235",
      "write 5018 8 1234",
    ]);
  });

  it("a plain store does not read the device", () => {
    const guest = new Guest().code("c7042510500000 01000000 f4");
    guest.board.pages.set(5, { kind: "device" });
    guest.run();
    assert.deepEqual(guest.board.log, ["write 5010 4 1"]);
  });

  it("a fault that the board answers with retry costs nothing", () => {
    const guest = new Guest().code("8b042500500000 f4").bytes(0x5000, Uint8Array.of(7));
    guest.board.pages.set(5, { kind: "missing" });
    guest.board.onPageFault = () => {
      guest.board.pages.delete(5);
      return { kind: "retry" };
    };
    assert.equal(guest.run().retired, 2);
    assert.equal(guest.get("rax"), 7n);
    assert.deepEqual(guest.board.faults, []);
  });

  it("a fault to be emulated delivers its store through the board", () => {
    const guest = new Guest().code("8304250050000003 f4").bytes(0x5000, Uint8Array.of(4));
    guest.board.pages.set(5, { kind: "ram", readOnly: true });
    guest.board.onPageFault = () => ({ kind: "emulate" });
    assert.equal(guest.run().why, "halt");
    assert.deepEqual(guest.board.log, ["store 5000 07000000"]);
  });

  it("a slice that ends while the board looks at a fault finishes what was begun, once", () => {
    const guest = new Guest().code("8304250050000003 90 f4");
    guest.board.pages.set(5, { kind: "ram", readOnly: true });
    let asked = 0;
    guest.board.onPageFault = () => {
      asked++;
      guest.engine.endSlice();
      return { kind: "emulate" };
    };
    assert.deepEqual(guest.run(), { why: "budget", retired: 1 });
    assert.equal(guest.run().why, "halt");
    assert.equal(asked, 1);
    assert.deepEqual(guest.board.log, ["store 5000 03000000"]);
  });

  it("a slice that ends during a refill leaves before the instruction, which then needs none", () => {
    const guest = new Guest().code("8b042500500000 f4").bytes(0x5000, Uint8Array.of(7));
    let asked = 0;
    guest.board.pages.set(5, { kind: "missing" });
    guest.board.onPageFault = () => {
      asked++;
      guest.board.pages.delete(5);
      guest.engine.endSlice();
      return { kind: "retry" };
    };
    assert.deepEqual(guest.run(), { why: "budget", retired: 0 });
    assert.equal(guest.get("rax"), 0n);
    assert.equal(guest.run().why, "halt");
    assert.equal(asked, 1);
    assert.equal(guest.get("rax"), 7n);
  });

  it("a stop before a fault keeps it pending, and the next run does not ask again", () => {
    const guest = new Guest().code("8b042500500000 f4");
    guest.board.pages.set(5, { kind: "missing" });
    guest.board.stopAtFaults = true;
    assert.deepEqual(guest.run(), { why: "stop", retired: 0 });
    assert.equal(guest.state.u32(S.pending) >>> 31, 1);
    assert.equal(guest.state.rip, BigInt(CODE_AT));
    guest.board.stopAtFaults = false;
    // There is no IDT: #PF becomes #DF becomes shutdown, each asked about once.
    assert.equal(guest.run().why, "shutdown");
    assert.deepEqual(
      guest.board.faults.map(({ vector }) => vector),
      [14, 8],
    );
  });
});

describe("stops", () => {
  it("an execution breakpoint stops before its instruction, and is passed over when resumed", () => {
    // again: inc rax; inc rbx; jmp again
    const guest = new Guest().code("48ffc0 48ffc3 ebf8");
    guest.engine.setBreakpoints(new Set([BigInt(CODE_AT + 3)]));
    assert.deepEqual(guest.run(), { why: "breakpoint", retired: 1 });
    assert.deepEqual(guest.run(), { why: "breakpoint", retired: 3 });
    assert.equal(guest.get("rbx"), 1n);
    assert.equal(guest.get("rax"), 2n);
    guest.engine.setBreakpoints(new Set());
    assert.deepEqual(guest.run(30), { why: "budget", retired: 30 });
  });

  it("one set while the code is already decoded and linked still hits", () => {
    const guest = new Guest().code("48ffc0 48ffc3 ebf8");
    guest.run(1000);
    guest.engine.setBreakpoints(new Set([BigInt(CODE_AT + 3)]));
    assert.equal(guest.run().why, "breakpoint");
    assert.equal(guest.state.rip, BigInt(CODE_AT + 3));
  });

  it("what is not implemented stops once, then is #UD", () => {
    const guest = new Guest().code("90 0f58c1 f4");
    const first = guest.run();
    assert.equal(first.why, "unimplemented");
    assert.equal(first.text, "not implemented: sse (0f 58 c1) at 0x1001");
    assert.equal(first.retired, 1);
    guest.board.stopAtFaults = true;
    assert.equal(guest.run().why, "stop");
    assert.equal(guest.board.faults[0]?.vector, 6);
  });

  it("the instruction after STI runs before a waiting interrupt", () => {
    // sti; inc rax; hlt
    const guest = new Guest().code("fb 48ffc0 f4");
    guest.state.setU32(S.irqLine, 1);
    guest.board.interrupt = 0x40;
    guest.board.stopAtFaults = true;
    // Delivery fails for want of an IDT, which shows when it was tried.
    assert.equal(guest.run().why, "stop");
    assert.equal(guest.get("rax"), 1n);
  });

  it("TF traps after each instruction", () => {
    const guest = new Guest().code("48ffc0 48ffc0 f4");
    guest.state.rflags = FLAG.TF | 2n;
    guest.board.stopAtFaults = true;
    guest.vcpu.stateChanged();
    assert.deepEqual(guest.run(), { why: "stop", retired: 1 });
    assert.equal(guest.board.faults[0]?.vector, 1);
    assert.equal(guest.get("rax"), 1n);
  });

  it("a data breakpoint of DR0 traps after the access", () => {
    const guest = new Guest().code("90 c6042500500000 01 48ffc0 f4");
    guest.state.setU64(S.dr, 0x5000n);
    guest.state.setU64(S.dr + 56, 0x1_0401n);
    guest.vcpu.stateChanged();
    guest.board.stopAtFaults = true;
    assert.deepEqual(guest.run(), { why: "stop", retired: 2 });
    assert.equal(guest.board.faults[0]?.vector, 1);
    assert.equal(guest.read(0x5000, 1), 1n);
  });

  // mov ss, [5000h]; int 20h
  it("a data breakpoint is hit by a system instruction's access, and waits through MOV SS for INT n", () => {
    const guest = new Guest().code("8e1425 00500000 cd20 f4");
    guest.state.setU64(S.dr, 0x5000n);
    guest.state.setU64(S.dr + 56, 0x7_0401n);
    guest.vcpu.stateChanged();
    guest.board.stopAtFaults = true;
    // Without an IDT, INT 20h is itself #GP: the trap that waits comes after it.
    guest.run();
    assert.equal(guest.state.u32(S.pendingDb), 1);
  });

  it("an instruction breakpoint of DR1 faults before it", () => {
    const guest = new Guest().code("90 48ffc0 f4");
    guest.state.setU64(S.dr + 8, BigInt(CODE_AT + 1));
    guest.state.setU64(S.dr + 56, 0x404n);
    guest.vcpu.stateChanged();
    guest.board.stopAtFaults = true;
    assert.deepEqual(guest.run(), { why: "stop", retired: 1 });
    assert.equal(guest.get("rax"), 0n);
  });

  it("alignment is checked at level 3 with AM and AC", () => {
    const guest = new Guest({ user: true }).code("8b042501500000 f4");
    guest.state.cr0 |= 1n << 18n;
    guest.state.rflags = FLAG.AC | 2n;
    guest.vcpu.stateChanged();
    guest.board.stopAtFaults = true;
    assert.equal(guest.run().why, "stop");
    assert.deepEqual(guest.board.faults, [{ vector: 17, error: 0, cr2: undefined }]);
  });
});

describe("several vCPUs", () => {
  it("take turns in one memory without seeing each other's registers or translations", () => {
    const guest = new Guest().code("48ffc0 ebfb");
    const other = guest.engine.addVcpu(guest.board);
    const saved = guest.vcpu.save();
    other.restore(saved);
    other.state.setGpr(0, 1000n);
    for (let n = 0; n < 5; n++) {
      guest.engine.run(guest.vcpu, 20);
      guest.engine.run(other, 40);
    }
    assert.equal(guest.state.gpr(0), 50n);
    assert.equal(other.state.gpr(0), 1100n);
  });

  it("a saved vCPU goes on as the original does", () => {
    const guest = new Guest().code(MIXTURE);
    guest.run(333);
    const saved = guest.vcpu.save();
    const ram = guest.ram.slice();
    guest.run();
    const copy = new Guest();
    copy.ram.set(ram);
    copy.vcpu.restore(saved);
    copy.run();
    assert.equal(hexState(copy), hexState(guest));
    assert.deepEqual(copy.vcpu.save(), guest.vcpu.save());
  });
});

describe("many code segments", () => {
  it("real mode may use more bases than modes can be numbered", () => {
    const guest = new Guest({ bits: 16 });
    let runs = 0;
    for (let n = 0; n < 5000; n++) {
      const base = BigInt(16 * (n % 256));
      guest.code("40 f4", 0x1000 + Number(base));
      const cs = guest.state.segment(1);
      guest.state.setSegment(1, { ...cs, base, hi: 0xffff - n });
      guest.state.rip = BigInt(CODE_AT);
      guest.state.setU32(S.activity, 0);
      guest.vcpu.stateChanged();
      if (guest.run(2).retired === 2) runs++;
    }
    assert.equal(runs, 5000);
    assert.equal(guest.get("rax"), 5000n);
  });
});
