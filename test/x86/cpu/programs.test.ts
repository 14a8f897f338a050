import assert from "node:assert/strict";
import { FLAG } from "../../../src/x86/cpu/layout";
import { CODE_AT, Guest, STACK_AT } from "./support/guest";

/** Small programs, each ending in HLT. */
describe("programs", () => {
  it("sums in a loop", () => {
    // mov ecx, 100; xor eax, eax; again: add rax, rcx; dec rcx; jnz again; hlt
    const guest = new Guest().code("b964000000 31c0 4801c8 48ffc9 75f8 f4");
    assert.equal(guest.run().why, "halt");
    assert.equal(guest.get("rax"), 5050n);
  });

  it("calls and returns on a 64-bit stack", () => {
    // call +2; hlt; nop; mov eax, 7; ret
    const guest = new Guest().code("e802000000 f4 90 b807000000 c3");
    guest.run();
    assert.equal(guest.get("rax"), 7n);
    assert.equal(guest.get("rsp"), BigInt(STACK_AT));
    assert.equal(guest.read(STACK_AT - 8, 8), BigInt(CODE_AT + 5));
  });

  it("keeps the upper half of ESP on a 16-bit stack", () => {
    const guest = new Guest({ bits: 16 }).code("6a11 58 f4").set("rsp", 0x1234_9000n);
    guest.run();
    assert.equal(guest.get("rax"), 0x11n);
    assert.equal(guest.get("rsp"), 0x1234_9000n);
  });

  it("POP into memory addresses with the new stack pointer", () => {
    // push 42; pop qword [rsp]; hlt
    const guest = new Guest().code("6a2a 8f0424 f4");
    guest.run();
    assert.equal(guest.read(STACK_AT, 8), 42n);
  });

  it("PUSH rSP stores the old value, POP rSP takes the popped one", () => {
    const guest = new Guest().code("54 58 6800500000 5c f4");
    guest.run();
    assert.equal(guest.get("rax"), BigInt(STACK_AT));
    assert.equal(guest.get("rsp"), 0x5000n);
  });

  it("PUSHF and POPF carry every flag that the level allows", () => {
    // push 0x244ed5; popf; pushf; pop rax; hlt
    const guest = new Guest().code("68d54e2400 9d 9c 58 f4");
    guest.state.rflags = 2n;
    guest.run();
    assert.equal(guest.get("rax"), 0x24_4ed7n);
  });

  it("POPF at level 3 leaves IF and IOPL", () => {
    const guest = new Guest({ user: true }).code("68d73e0000 9d eb fe");
    guest.run(3);
    assert.equal(guest.state.rflags & (FLAG.IF | FLAG.IOPL), 0n);
    assert.notEqual(guest.state.rflags & FLAG.OF, 0n);
  });

  it("flag combinations that no result has survive SAHF, LAHF and conditions", () => {
    // mov ah, 0xc4 (SF ZF PF); sahf; js +1; hlt; jz +1; hlt; jp +1; hlt; lahf; mov al, 1; hlt
    const guest = new Guest().code("b4c4 9e 7801 f4 7401 f4 7a01 f4 9f b001 f4");
    guest.run();
    assert.equal(guest.get("rax") & 0xffffn, 0xc601n);
  });

  it("divides 128 by 64 bits, and refuses what does not fit", () => {
    const guest = new Guest().code("48f7f1 f4").set("rcx", 1n << 63n);
    guest.set("rdx", 1n).set("rax", 5n).run();
    assert.deepEqual([guest.get("rax"), guest.get("rdx")], [2n, 5n]);
    const refused = new Guest().code("48f7f1 f4").set("rcx", 1n).set("rdx", 1n);
    refused.board.stopAtFaults = true;
    assert.equal(refused.run().why, "stop");
    assert.equal(refused.board.faults[0]?.vector, 0);
  });

  it("moves and fills with REP in both directions", () => {
    // mov ecx, 5; rep movsb; std; mov ecx, 3; lea rdi, [rdi+0x20]; mov al, 0x77; rep stosb; hlt
    const guest = new Guest().code("b905000000 f3a4 fd b903000000 488d7f20 b077 f3aa f4");
    guest.bytes(0x4000, Uint8Array.of(1, 2, 3, 4, 5));
    guest.set("rsi", 0x4000n).set("rdi", 0x5000n).run();
    assert.equal(guest.read(0x5000, 5), 0x0504030201n);
    assert.equal(guest.read(0x5023, 4), 0x00777777n);
    assert.equal(guest.get("rdi"), 0x5022n);
  });

  it("REP MOVS forwards into itself repeats the pattern", () => {
    const guest = new Guest().code("b920000000 f3a4 f4").bytes(0x4000, Uint8Array.of(0xab, 0xcd));
    guest.set("rsi", 0x4000n).set("rdi", 0x4002n).run();
    assert.equal(guest.read(0x4018, 8), 0xcdab_cdab_cdab_cdabn);
  });

  it("REPNE SCAS finds, REPE CMPS tells where strings part", () => {
    const guest = new Guest().code("f2ae f4").bytes(0x4000, Buffer.from("penumbra"));
    guest
      .set("rdi", 0x4000n)
      .set("rcx", 8n)
      .set("rax", BigInt("m".charCodeAt(0)))
      .run();
    assert.deepEqual([guest.get("rdi"), guest.get("rcx")], [0x4005n, 3n]);
    const other = new Guest().code("f3a6 f4").bytes(0x4000, Buffer.from("paging"));
    other.bytes(0x5000, Buffer.from("pagan "));
    other.set("rsi", 0x4000n).set("rdi", 0x5000n).set("rcx", 6n).run();
    assert.equal(other.get("rcx"), 2n);
  });

  it("a locked compare and exchange of 16 bytes wants alignment", () => {
    const guest = new Guest().code("f0480fc70e f4").set("rsi", 0x4008n);
    guest.board.stopAtFaults = true;
    assert.equal(guest.run().why, "stop");
    assert.deepEqual(guest.board.faults, [{ vector: 13, error: 0, cr2: undefined }]);
    const aligned = new Guest().code("f0480fc70e f4").set("rsi", 0x4010n).set("rbx", 9n);
    aligned.set("rcx", 8n).run();
    assert.deepEqual([aligned.read(0x4010, 8), aligned.read(0x4018, 8)], [9n, 8n]);
    assert.notEqual(aligned.state.rflags & FLAG.ZF, 0n);
  });

  it("real mode adds segment bases and checks 64 KiB limits", () => {
    // mov ax, 0x400; mov ds, ax; mov bx, [0x10]; hlt
    const guest = new Guest({ bits: 16 }).code("b80004 8ed8 8b1e1000 f4");
    guest.bytes(0x4010, Uint8Array.of(0x34, 0x12)).run();
    assert.equal(guest.get("rbx"), 0x1234n);
    // mov ax, [0xffff]: the second byte is beyond the limit
    const beyond = new Guest({ bits: 16 }).code("a1ffff f4");
    beyond.board.stopAtFaults = true;
    beyond.run();
    assert.equal(beyond.board.faults[0]?.vector, 13);
  });

  it("32-bit code wraps addresses at 4 GiB", () => {
    // mov eax, [ebx+0x10] with ebx = -16: address 0
    const guest = new Guest({ bits: 32 }).code("8b4310 f4").set("rbx", 0xffff_fff0n);
    guest.bytes(0, Uint8Array.of(0x78, 0x56, 0x34, 0x12)).run();
    assert.equal(guest.get("rax"), 0x1234_5678n);
  });

  it("a segment with a base and a limit checks both ends and wraps nothing", () => {
    const guest = new Guest({ bits: 32 }).code("8b03 f4").set("rbx", 0xffdn);
    const ds = guest.state.segment(3);
    guest.state.setSegment(3, { ...ds, base: 0x3000n, hi: 0xfff });
    guest.vcpu.stateChanged();
    guest.board.stopAtFaults = true;
    assert.equal(guest.run().why, "stop");
    assert.equal(guest.board.faults[0]?.vector, 13);
    const inside = new Guest({ bits: 32 }).code("8b03 f4").set("rbx", 0xffcn);
    inside.state.setSegment(3, { ...ds, base: 0x3000n, hi: 0xfff });
    inside.vcpu.stateChanged();
    inside.bytes(0x3ffc, Uint8Array.of(1, 2, 3, 4)).run();
    assert.equal(inside.get("rax"), 0x04030201n);
  });

  it("FS adds its base in 64-bit code", () => {
    const guest = new Guest().code("64488b042510000000 f4");
    guest.state.setSegment(4, { ...guest.state.segment(4), base: 0x4000n });
    guest.vcpu.stateChanged();
    guest.bytes(0x4010, Uint8Array.of(0x2a)).run();
    assert.equal(guest.get("rax"), 0x2an);
  });

  it("a non-canonical address is #GP, through the stack #SS", () => {
    const faultOf = (hex: string): number | undefined => {
      const guest = new Guest()
        .code(hex)
        .set("rbx", 1n << 60n)
        .set("rbp", 1n << 60n);
      guest.board.stopAtFaults = true;
      guest.run();
      return guest.board.faults[0]?.vector;
    };
    assert.equal(faultOf("488b03 f4"), 13);
    assert.equal(faultOf("488b4500 f4"), 12);
    assert.equal(faultOf("48 89 ec 50 f4"), 12);
    assert.equal(faultOf("ffe3 f4"), 13);
  });
});
