import assert from "node:assert/strict";
import { CR4, GPR, S } from "../../src/x86";
import { LongGuest, PTE, pkey } from "./long-guest";

const PAGE = 0x40000000n;
/** mov rax, [rbx] */
const LOAD = [0x48, 0x8b, 0x03];
/** mov [rbx], rax */
const STORE = [0x48, 0x89, 0x03];
/** mov eax, value; wrpkru with ECX and EDX as they are (0) */
const wrpkru = (value: number): number[] => [
  0xb8,
  value & 0xff,
  value >> 8,
  0,
  0,
  0x0f,
  0x01,
  0xef,
];
const HLT = 0xf4;

describe("paging on the bare processor (mmu: none)", () => {
  const AD5 = 1 << 10;
  const WD5 = 1 << 11;

  function keyed(code: readonly number[]): LongGuest {
    const guest = new LongGuest([...code, HLT]);
    guest.state.cr4 |= CR4.PKE;
    guest.map(PAGE, 0x300000n, PTE.P | PTE.W | PTE.U | pkey(5));
    guest.state.setGpr(GPR.rbx, PAGE);
    return guest;
  }

  it("WRPKRU takes effect at once, on a page already in the TLB (SDM 3A 4.6.2)", () => {
    const guest = keyed([...LOAD, ...STORE, ...wrpkru(AD5), ...LOAD]);
    guest.machine.run(100);
    assert.deepEqual(guest.exceptions, [{ vector: 14, error: 0x21, cr2: PAGE }]);
    assert.equal(guest.retired, 4);
  });

  it("WD refuses writes only, and with CR0.WP only at level 0", () => {
    const guest = keyed([...wrpkru(WD5), ...LOAD, ...STORE]);
    guest.machine.run(100);
    assert.deepEqual(guest.exceptions, [{ vector: 14, error: 0x23, cr2: PAGE }]);
    const lax = keyed([...wrpkru(WD5), ...LOAD, ...STORE]);
    lax.state.cr0 &= ~(1n << 16n);
    assert.equal(lax.machine.run(100).kind, "idle");
    assert.deepEqual(lax.exceptions, []);
  });

  it("a key given back opens the page again, and other keys never closed it", () => {
    const guest = keyed([...wrpkru(AD5 | (3 << 8)), ...wrpkru(0), ...LOAD, ...STORE]);
    assert.equal(guest.machine.run(100).kind, "idle");
    const other = keyed([...wrpkru(0xffff & ~(AD5 | WD5)), ...LOAD, ...STORE]);
    assert.equal(other.machine.run(100).kind, "idle");
  });

  it("PKRU is part of the saved state", () => {
    const guest = keyed([...wrpkru(AD5), 0x90, ...LOAD]);
    guest.machine.run(2);
    const saved = guest.machine.save();
    guest.machine.run(100);
    assert.equal(guest.exceptions.length, 1);
    guest.machine.restore(saved);
    assert.equal(guest.state.u64(S.pkru), BigInt(AD5));
    guest.machine.run(100);
    assert.equal(guest.exceptions.length, 2);
  });

  describe("cache and prefetch instructions (SDM 2A CLFLUSH, CLFLUSHOPT, CLWB, 2B PREFETCHh)", () => {
    const flushes = {
      clflush: [0x0f, 0xae, 0x3b],
      clflushopt: [0x66, 0x0f, 0xae, 0x3b],
      clwb: [0x66, 0x0f, 0xae, 0x33],
    };
    for (const [name, bytes] of Object.entries(flushes)) {
      it(`${name} faults like a read`, () => {
        const guest = new LongGuest([...bytes, HLT]);
        guest.state.setGpr(GPR.rbx, PAGE);
        guest.machine.run(100);
        assert.deepEqual(guest.exceptions, [{ vector: 14, error: 0, cr2: PAGE }]);
      });

      it(`${name} of a read-only page goes, and sets A but not D`, () => {
        const guest = new LongGuest([...bytes, HLT]);
        guest.map(PAGE, 0x300000n, PTE.P);
        guest.state.setGpr(GPR.rbx, PAGE);
        assert.equal(guest.machine.run(100).kind, "idle");
        assert.equal(guest.leaf(PAGE) & 0x60n, 0x20n);
      });
    }

    it("prefetches of what is not there do nothing", () => {
      const hints = [0, 1, 2, 3].flatMap((hint) => [0x0f, 0x18, 0x03 | (hint << 3)]);
      const guest = new LongGuest([...hints, 0x0f, 0x0d, 0x0b, HLT]);
      guest.state.setGpr(GPR.rbx, PAGE);
      assert.equal(guest.machine.run(100).kind, "idle");
      assert.deepEqual(guest.exceptions, []);
    });

    it("fences order what is in order already, and change nothing", () => {
      const guest = new LongGuest([0x0f, 0xae, 0xe8, 0x0f, 0xae, 0xf0, 0x0f, 0xae, 0xf8, HLT]);
      assert.equal(guest.machine.run(100).kind, "idle");
      assert.equal(guest.retired, 4);
    });
  });

  it("five levels translate 57 bits, and an address of 48 is no other's twin (SDM 3A 4.5)", () => {
    const far = 1n << 55n;
    const guest = new LongGuest([...LOAD, HLT], { cpu: "+la57" }, 5);
    guest.map(far, 0x300000n, PTE.P);
    guest.write(0x300000, 0x1122334455667788n);
    guest.state.setGpr(GPR.rbx, far);
    assert.equal(guest.machine.run(100).kind, "idle");
    assert.equal(guest.state.gpr(GPR.rax), 0x1122334455667788n);
  });

  it("an address that is not canonical for the levels in force is #GP(0)", () => {
    const four = new LongGuest([...LOAD, HLT]);
    four.state.setGpr(GPR.rbx, 1n << 47n);
    four.machine.run(100);
    assert.deepEqual(four.exceptions, [{ vector: 13, error: 0, cr2: undefined }]);
    const five = new LongGuest([...LOAD, HLT], { cpu: "+la57" }, 5);
    five.state.setGpr(GPR.rbx, 1n << 56n);
    five.machine.run(100);
    assert.deepEqual(five.exceptions, [{ vector: 13, error: 0, cr2: undefined }]);
  });

  for (const bits of [36, 40, 46, 52])
    it(`MAXPHYADDR ${bits}: the bits from it up are reserved in entries (SDM 3A 4.5)`, () => {
      const cpu = `phys-bits=${bits}`;
      const reserved = bits < 52 ? 1n << BigInt(bits) : 0n;
      const guest = new LongGuest([...LOAD, HLT], { cpu });
      guest.map(PAGE, 0x300000n, PTE.P | reserved);
      guest.state.setGpr(GPR.rbx, PAGE);
      const ended = guest.machine.run(100);
      if (bits === 52) assert.equal(ended.kind, "idle");
      else assert.deepEqual(guest.exceptions, [{ vector: 14, error: 9, cr2: PAGE }]);
    });

  it("a gigabyte page needs page1gb, else its PS bit is reserved (SDM 3A 4.5)", () => {
    const big = 0x8000000000n;
    const offered = new LongGuest([...LOAD, HLT]);
    offered.map(big, 0n, PTE.P, 3);
    offered.state.setGpr(GPR.rbx, big + 0x300000n);
    offered.write(0x300000, 77n);
    assert.equal(offered.machine.run(100).kind, "idle");
    assert.equal(offered.state.gpr(GPR.rax), 77n);
    const absent = new LongGuest([...LOAD, HLT], { cpu: "-page1gb" });
    absent.map(big, 0n, PTE.P, 3);
    absent.state.setGpr(GPR.rbx, big);
    absent.machine.run(100);
    assert.deepEqual(absent.exceptions, [{ vector: 14, error: 9, cr2: big }]);
  });
});
