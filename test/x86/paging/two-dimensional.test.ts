import assert from "node:assert/strict";
import {
  ACCESS,
  ALLOW,
  CR4,
  type EptFeatures,
  eptRules,
  FramePort,
  gpa,
  type Hpa,
  hpa,
  inspectWalk,
  PageModificationLog,
  type PagingControls,
  passive,
  pdpteRegisters,
  TwoDimensionalWalker,
  type WalkRules,
  walkRules,
} from "../../../src/x86";
import { features, longMode } from "./tables";

const EPT: EptFeatures = {
  physicalBits: 46,
  levels: 4,
  accessedDirty: true,
  executeOnly: false,
  megabytePages: true,
  gigabytePages: true,
};

const FRAMES = 32;
const map = { offsetOf: (frame: number) => (frame < FRAMES ? frame * 4096 : -1) };
/** Tables of the second dimension: level n in frame 15 + n, its first entries used. */
const tableAt = (level: number): Hpa => hpa((15 + level) * 4096);

/** Guest frames g at host frames g: G1's tables at 0x1000…0x4000, the page at 0x9000; gva 0x5000. */
function machine(rules: WalkRules, leafBits: number, controls: PagingControls = longMode) {
  const memory = { buffer: new ArrayBuffer(FRAMES * 4096) };
  const port = new FramePort<Hpa>(memory, map);
  const set = (at: number, value: bigint) =>
    port.store64(hpa(at), Number(value & 0xffffffffn), Number(value >> 32n));
  for (const [at, entry] of [
    [0x1000, 0x2007n],
    [0x2000, 0x3007n],
    [0x3000, 0x4007n],
    [0x4028, 0x9007n],
  ] as const)
    set(at, entry);
  for (let level = rules.format.levels; level > 1; level--)
    set(tableAt(level), BigInt(tableAt(level - 1)) | 7n);
  for (let g = 0; g < 16; g++) set(tableAt(1) + 8 * g, BigInt(g * 4096 + leafBits));
  const guest = walkRules(controls, features);
  const second = { rules, root: tableAt(rules.format.levels) };
  const walker = new TwoDimensionalWalker(memory, map, second, guest, gpa(0x1000), 46);
  return { walker, set, port, get: (at: number) => port.read64(hpa(at)) ?? -1n };
}

const { read, write, exec } = ALLOW;
const user = ACCESS.user;

describe("TwoDimensionalWalker, EPT", () => {
  it("F-033 maps through both dimensions, and sets A and D in both", () => {
    const { walker, get } = machine(eptRules(EPT), 0x37);
    const refill = walker.refill(0x5123n, user | ACCESS.write, false);
    assert.deepEqual(
      [refill?.kind, refill?.offset, refill?.gpa, refill?.allow],
      ["ram", 0x9000, 0x9123, read | write | exec],
    );
    assert.equal(get(0x4028), 0x9067n);
    assert.equal(get(0x1000), 0x2027n);
    assert.equal(get(tableAt(1) + 8 * 9), 0x9337n);
    // The guest's tables count as written.
    assert.equal(get(tableAt(1) + 8 * 4), 0x4337n);
    assert.equal(get(tableAt(4)), BigInt(tableAt(3)) | 0x107n);
  });

  it("a page clean in the second dimension is not written without another walk", () => {
    const { walker, set } = machine(eptRules(EPT), 0x37);
    set(0x4028, 0x9067n);
    assert.equal(walker.refill(0x5000n, user, false)?.allow, read | exec);
    assert.equal(walker.refill(0x5000n, user | ACCESS.write, false)?.allow, read | write | exec);
    assert.equal(walker.refill(0x5000n, user, false)?.allow, read | write | exec);
  });

  it("F-062 without A/D flags nothing is set, and the guest's tables are read as data", () => {
    const { walker, set, get } = machine(eptRules({ ...EPT, accessedDirty: false }), 0x37);
    set(tableAt(1) + 8 * 4, 0x4031n);
    set(0x4028, 0x9067n);
    assert.equal(walker.refill(0x5000n, user, false)?.allow, read | write | exec);
    assert.equal(get(tableAt(1) + 8 * 9), 0x9037n);
    // Setting A in a table that may not be written is a write to it.
    set(0x4028, 0x9007n);
    assert.equal(walker.refill(0x5000n, user, false), undefined);
    assert.deepEqual({ ...walker.exit }, exit("ept-violation", 0x4028, 0x8a));
  });

  it("G17 a violation tells access, what was allowed, and the kind of address", () => {
    const { walker, set } = machine(eptRules(EPT), 0x37);
    set(tableAt(1) + 8 * 9, 0n);
    assert.equal(walker.refill(0x5008n, user | ACCESS.write, false), undefined);
    assert.deepEqual({ ...walker.exit }, exit("ept-violation", 0x9008, 0x182));
    set(tableAt(1) + 8 * 9, 0x9035n);
    walker.refill(0x5008n, user | ACCESS.write, false);
    assert.deepEqual({ ...walker.exit }, exit("ept-violation", 0x9008, 0x1aa));
    set(tableAt(1) + 8 * 9, 0x9033n);
    walker.refill(0x5008n, user | ACCESS.fetch, false);
    assert.deepEqual({ ...walker.exit }, exit("ept-violation", 0x9008, 0x19c));
    set(tableAt(1) + 8 * 3, 0n);
    walker.refill(0x5008n, user, false);
    assert.deepEqual({ ...walker.exit }, exit("ept-violation", 0x3000, 0x83));
  });

  it("a fault of the guest is its own, and comes before the page is looked for", () => {
    const { walker, set } = machine(eptRules(EPT), 0x37);
    set(tableAt(1) + 8 * 9, 0n);
    set(0x4028, 0x9003n);
    assert.equal(walker.refill(0x5000n, user, false)?.error, 5);
  });

  it("RWX 010 and 110, memory types 2, 3 and 7 and reserved bits are misconfigurations", () => {
    for (const [bits, bad] of [
      [0x32n, true],
      [0x36n, true],
      [0x34n, true],
      [0x17n, true],
      [0x1fn, true],
      [0x3fn, true],
      [0x37n | (1n << 46n), true],
      [0x37n | (1n << 63n), false],
      [0xb7n, false],
      [0x00n, false],
      [0x38n, false],
    ] as const) {
      const { walker, set } = machine(eptRules(EPT), 0x37);
      set(tableAt(1) + 8 * 9, 0x9000n | bits);
      walker.refill(0x5000n, user, false);
      const misconfigured = walker.second.exited && walker.exit.kind === "ept-misconfiguration";
      assert.equal(misconfigured, bad, bits.toString(16));
      if (bad) assert.equal(walker.exit.gpa, 0x9000);
    }
  });

  it("execute-only pages, where the processor has them, allow fetches alone", () => {
    const { walker, set } = machine(eptRules({ ...EPT, executeOnly: true }), 0x37);
    set(tableAt(1) + 8 * 9, 0x9034n);
    assert.equal(walker.refill(0x5000n, user | ACCESS.fetch, false)?.allow, exec);
    assert.equal(walker.refill(0x5000n, user, false), undefined);
    assert.deepEqual({ ...walker.exit }, exit("ept-violation", 0x9000, 0x1a1));
  });

  it("F-135 2M and 1G pages, and bit 7 reserved where there are none", () => {
    const { walker, set } = machine(eptRules(EPT), 0x37);
    set(tableAt(2), 0xb7n);
    assert.equal(walker.refill(0x5000n, user, false)?.offset, 0x9000);
    set(tableAt(3), 0xb7n);
    assert.equal(walker.refill(0x5000n, user, false)?.offset, 0x9000);
    assert.equal(walker.refill(0x5000n, user, false)?.level, 1, "of the guest's own page");
    set(tableAt(3), 0x10b7n);
    walker.refill(0x5000n, user, false);
    assert.equal(walker.exit.kind, "ept-misconfiguration");
    const small = machine(eptRules({ ...EPT, gigabytePages: false }), 0x37);
    small.set(tableAt(3), 0xb7n);
    small.walker.refill(0x5000n, user, false);
    assert.equal(small.walker.exit.kind, "ept-misconfiguration");
  });

  it("5 levels translate what 4 do not: bits 56:48 of a guest-physical address", () => {
    const wide = 1n << 48n;
    const at = { ...longMode };
    const guest = { ...features, physicalBits: 52 };
    for (const levels of [4, 5] as const) {
      const { walker, set } = machine(eptRules({ ...EPT, levels }), 0x37, at);
      walker.rules = walkRules(at, guest);
      set(0x4028, wide | 0x9067n);
      set(tableAt(5) + 8, BigInt(tableAt(4)) | 7n);
      const refill = walker.refill(0x5000n, user, false);
      if (levels === 5) assert.equal(refill?.offset, 0x9000);
      else assert.deepEqual({ ...walker.exit }, exit("ept-violation", 2 ** 48 + 0x9000, 0x181));
    }
  });

  it("PML: a dirty flag that is set is logged, downwards, and a full log exits before anything is set", () => {
    const { walker, set, get } = machine(eptRules(EPT), 0x37);
    const log = new PageModificationLog();
    walker.second.log = log;
    walker.refill(0x5678n, user | ACCESS.write, false);
    // Four tables, then the page.
    assert.equal(log.index, 511 - 5);
    const saved = log.save();
    const seen: number[] = [];
    log.drain((address) => seen.push(address));
    assert.deepEqual(seen, [0x1000, 0x2000, 0x3000, 0x4000, 0x9000]);
    assert.equal(log.index, 511);
    log.restore(saved);
    assert.equal(log.index, 506);
    walker.refill(0x5678n, user | ACCESS.write, false);
    assert.equal(log.index, 506, "nothing was clean");

    log.index = -1;
    set(tableAt(1) + 8 * 9, 0x9037n);
    assert.equal(walker.refill(0x5678n, user | ACCESS.write, false), undefined);
    assert.deepEqual({ ...walker.exit }, exit("pml-full", 0x9678, 0));
    assert.equal(get(tableAt(1) + 8 * 9), 0x9037n);
    assert.equal(walker.refill(0x5678n, user, false)?.kind, "ram", "a read sets no dirty flag");
  });

  it("loads of PDPTEs are reads of no linear address", () => {
    const { walker, set } = machine(eptRules(EPT), 0x37);
    set(0x1020, 0x2001n);
    set(tableAt(1) + 8, 0x1031n);
    const into = pdpteRegisters();
    assert.equal(walker.loadPdptes(gpa(0x1020), into), "loaded");
    assert.equal(into[0], 0x2001);
    set(0x1028, 0x2007n);
    assert.equal(walker.loadPdptes(gpa(0x1020), into), "refused");
    set(tableAt(1) + 8, 0n);
    assert.equal(walker.loadPdptes(gpa(0x1020), into), undefined);
    assert.deepEqual({ ...walker.exit }, exit("ept-violation", 0x1020, 0x1));
  });
});

describe("TwoDimensionalWalker, NPT", () => {
  const npt = walkRules(longMode, features);

  it("the guest's tables are written as by a user, the page used as the guest does", () => {
    const { walker, set, get } = machine(npt, 0x7);
    assert.equal(walker.refill(0x5000n, 0, false)?.allow, read | exec);
    assert.equal(get(tableAt(1) + 8 * 4), 0x4067n);
    assert.equal(get(tableAt(1) + 8 * 9), 0x9027n);
    set(tableAt(1) + 8 * 9, 0x9005n);
    walker.refill(0x5000n, ACCESS.write, false);
    assert.deepEqual({ ...walker.exit }, exit("npf", 0x9000, 0, 0x100000007));
    set(tableAt(1) + 8 * 9, 0x9001n);
    walker.refill(0x5000n, 0, false);
    assert.deepEqual({ ...walker.exit }, exit("npf", 0x9000, 0, 0x100000005));
    set(tableAt(1) + 8 * 3, 0x3005n);
    walker.refill(0x5000n, ACCESS.fetch, false);
    assert.deepEqual({ ...walker.exit }, exit("npf", 0x3000, 0, 0x200000007));
  });

  it("a reserved bit is told by RSVD, and a fetch by F", () => {
    const { walker, set } = machine(npt, 0x7);
    set(tableAt(1) + 8 * 9, 0x9007n | (1n << 50n));
    walker.refill(0x5000n, ACCESS.fetch, false);
    assert.deepEqual({ ...walker.exit }, exit("npf", 0x9000, 0, 0x10000001d));
  });

  it("PAE paging finds its PDPTEs in memory at each walk", () => {
    const controls = { ...longMode, efer: 0n, cr4: CR4.PAE };
    const { walker, set } = machine(npt, 0x7, controls);
    walker.root = pdpteRegisters();
    walker.pdptesAt = gpa(0x1020);
    assert.equal(walker.refill(0x5000n, 0, false)?.error, 0);
    set(0x1020, 0x3001n);
    assert.equal(walker.refill(0x5000n, 0, false)?.offset, 0x9000);
    set(0x1020, 0x3003n);
    assert.equal(walker.refill(0x5000n, user, false)?.error, 0xd);
    set(tableAt(1) + 8, 0n);
    assert.equal(walker.refill(0x5000n, user, false), undefined);
    assert.deepEqual({ ...walker.exit }, exit("npf", 0x1020, 0, 0x200000006));
  });
});

const exit = (kind: string, at: number, qualification: number, errorCode = 0) => ({
  kind,
  gpa: at,
  qualification,
  errorCode,
});

describe("a look at the second dimension", () => {
  const rules = eptRules(EPT);
  const report = (entry: bigint, access: number = user) => {
    const { set, port } = machine(rules, 0x37);
    set(tableAt(1) + 8 * 9, entry);
    return inspectWalk(rules, tableAt(4), 0x9000n, access, passive(port));
  };
  const failure = (entry: bigint, access?: number) => {
    const { outcome } = report(entry, access);
    assert.equal(outcome.kind, "fault");
    return outcome.kind === "fault" ? outcome.failure.text : "";
  };

  it("F-182 names the entries and their rights", () => {
    const { steps, outcome } = report(0x9035n);
    assert.deepEqual(
      steps.map(({ name, flags, access }) => [name, flags, access]),
      [
        ["PML4E", "R W X", 7],
        ["PDPTE", "R W X", 7],
        ["PDE", "R W X", 7],
        ["PTE", "R X", 5],
      ],
    );
    assert.equal(outcome.kind === "translation" && outcome.address, 0x9000);
  });

  it("says why an access is refused", () => {
    assert.equal(failure(0n), "PTE 0x0: R, W and X are clear: nothing is mapped here");
    assert.equal(failure(0x9035n, ACCESS.write), "PTE 0x9035: W is clear: writes are refused");
    assert.equal(failure(0x9033n, ACCESS.fetch), "PTE 0x9033: X is clear: fetches are refused");
    assert.equal(
      failure(0x9016n),
      "PTE 0x9016: rights -WX with memory type 2 are a misconfiguration",
    );
    assert.equal(
      failure((1n << 46n) | 0x9037n),
      "PTE 0x400000009037: bit 46 is reserved here and set",
    );
  });
});
