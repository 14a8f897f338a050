import assert from "node:assert/strict";
import {
  ACCESS,
  CR0,
  CR4,
  EFER,
  type Gpa,
  gpa,
  IN_REGISTER,
  loadPdptes,
  type PagingControls,
  passive,
  pdpteRegisters,
  pdpteTable,
  topTable,
  WalkResult,
  type WalkRoot,
  walk,
  walkRules,
  withoutRights,
} from "../../../src/x86";
import { features, g1, g1Root, longMode, Tables } from "./tables";

const { user, write, fetch } = ACCESS;

interface Run {
  readonly tables: Tables;
  readonly va: bigint;
  readonly access: number;
  readonly controls?: PagingControls;
  readonly root?: WalkRoot<Gpa>;
  readonly pkru?: number;
}

function run({ tables, va, access, controls = longMode, root = g1Root, pkru = 0 }: Run) {
  const heard: string[] = [];
  const hex = (n: number) => (n < 0 ? "register" : n.toString(16));
  const result = walk(
    walkRules(controls, features, pkru),
    root,
    va,
    access,
    tables,
    new WalkResult<Gpa>(),
    {
      element: (level, _at, lo) => heard.push(`${lo.toString(16)} l${level}`),
      accessed: (_level, at) => heard.push(`A ${hex(at)}`),
      dirty: (_level, at) => heard.push(`D ${hex(at)}`),
    },
  );
  return { result, heard };
}

describe("walk, 4-level", () => {
  it("F-113 G1: reads every level, then sets A from the top down", () => {
    const tables = g1();
    const { result, heard } = run({ tables, va: 0x5123n, access: user });
    assert.deepEqual(heard, [
      ..."2007 l4|3007 l3|4007 l2|9007 l1".split("|"),
      ..."A 1000|A 2000|A 3000|A 4028".split("|"),
    ]);
    assert.equal(result.kind, "translation");
    assert.deepEqual([result.frame, result.level, result.access], [9, 1, 5]);
    assert.deepEqual(
      [4, 3, 2, 1].map((level) => result.tableFrame(level)),
      [1, 2, 3, 4],
    );
    assert.deepEqual([result.entryAt(1), result.entry(1)], [0x4028, 0x9027n]);
    assert.equal(tables.get(0x1000), 0x2027n);
  });

  it("F-114 a read of a clean page withholds W; a write sets D and grants it", () => {
    const tables = g1();
    run({ tables, va: 0x5000n, access: user });
    const { result, heard } = run({ tables, va: 0x5000n, access: user | write });
    assert.deepEqual(heard.slice(4), ["D 4028"]);
    assert.deepEqual([result.access, result.dirty], [7, true]);
    assert.equal(run({ tables, va: 0x5000n, access: user }).result.access, 7, "still dirty");
  });

  it("F-094 an absent entry faults without P, and sets no bit anywhere", () => {
    const tables = g1().set(0x4038, 0n);
    const before = tables.contents();
    const { result } = run({ tables, va: 0x7000n, access: user });
    assert.deepEqual(
      [result.kind, result.error, result.reason, result.level],
      ["fault", 4, "not-present", 1],
    );
    assert.deepEqual(tables.contents(), before);
  });

  it("a table where there is no memory counts as absent", () => {
    const { result } = run({ tables: g1(), va: 0x5000n, access: write, root: gpa(0x77000) });
    assert.deepEqual([result.error, result.reason, result.level], [2, "unreadable", 4]);
    assert.equal(result.entryAt(4), 0x77000);
  });

  it("F-102 a right missing at any level faults with P, and sets no bit", () => {
    for (const at of [0x1000, 0x2000, 0x3000, 0x4028]) {
      const tables = g1();
      tables.set(at, tables.get(at) & ~2n);
      const before = tables.contents();
      const { result } = run({ tables, va: 0x5000n, access: user | write });
      assert.deepEqual([result.error, result.reason], [7, "permission"]);
      assert.deepEqual(tables.contents(), before);
      assert.equal(run({ tables, va: 0x5000n, access: user }).result.kind, "translation");
    }
  });

  it("inherited access is that of the entries above", () => {
    const tables = g1()
      .set(0x2000, 0x3005n)
      .set(0x3000, (1n << 63n) | 0x4007n);
    const { result } = run({ tables, va: 0x5000n, access: user });
    assert.deepEqual(
      [4, 3, 2, 1].map((level) => result.inheritedAccess(level)),
      [7, 7, 5, 4],
    );
    assert.equal(result.access, 4);
  });

  it("F-028 NX refuses a fetch with EFER.NX and is reserved without it", () => {
    const tables = g1().set(0x4028, (1n << 63n) | 0x9007n);
    assert.equal(run({ tables, va: 0x5000n, access: user | fetch }).result.error, 0x15);
    const controls = { ...longMode, efer: EFER.LMA };
    const { result } = run({ tables, va: 0x5000n, access: user | fetch, controls });
    assert.deepEqual([result.error, result.reason], [0xd, "reserved"]);
  });

  it("F-025 F-029 the supervisor obeys WP, SMEP and SMAP", () => {
    const tables = g1().set(0x4028, 0x9065n);
    const error = (access: number, controls: PagingControls) =>
      run({ tables, va: 0x5000n, access, controls }).result.error;
    const withCr4 = (bits: bigint) => ({ ...longMode, cr4: longMode.cr4 | bits });
    assert.equal(error(write, longMode), 3);
    assert.equal(error(write, { ...longMode, cr0: CR0.PE | CR0.PG }), 0);
    assert.equal(error(fetch, withCr4(CR4.SMEP)), 0x11);
    assert.equal(error(0, withCr4(CR4.SMAP)), 1);
    assert.equal(error(8, withCr4(CR4.SMAP)), 0, "EFLAGS.AC");
    assert.equal(error(fetch, withCr4(CR4.SMAP)), 0, "SMAP is about data");
  });

  it("protection keys are taken from bits 62:59 of the leaf", () => {
    const tables = g1().set(0x4028, (5n << 59n) | 0x9067n);
    const controls = { ...longMode, cr4: longMode.cr4 | CR4.PKE };
    const { result } = run({ tables, va: 0x5000n, access: user, controls, pkru: 1 << 10 });
    assert.deepEqual([result.error, result.reason], [0x25, "protection-key"]);
    assert.equal(run({ tables, va: 0x5000n, access: user, controls }).result.pkey, 5);
  });

  it("the low bits of the root are no part of its address", () => {
    assert.equal(
      run({ tables: g1(), va: 0x5000n, access: user, root: gpa(0x1fff) }).result.frame,
      9,
    );
  });

  it("F-132 2 MiB and 1 GiB leaves give the frame of the 4 KiB page inside", () => {
    const tables = g1().set(0x3008, 0x2000e7n).set(0x2008, 0x400000e7n);
    const two = run({ tables, va: 0x203abcn, access: user | write }).result;
    assert.deepEqual([two.level, two.frame], [2, 0x203]);
    const one = run({ tables, va: 0x4765_4321n, access: user | write }).result;
    assert.deepEqual([one.level, one.frame], [3, 0x47654]);
  });

  it("bit 12 of a large leaf is PAT, bit 13 is reserved", () => {
    const tables = g1().set(0x3008, 0x2010e7n);
    assert.equal(run({ tables, va: 0x200000n, access: user }).result.frame, 0x200);
    tables.set(0x3008, 0x2020e7n);
    assert.equal(run({ tables, va: 0x200000n, access: user }).result.error, 0xd);
  });

  it("G of the leaf counts with CR4.PGE", () => {
    const tables = g1().set(0x4028, 0x9167n);
    assert.ok(run({ tables, va: 0x5000n, access: user }).result.global);
    const controls = { ...longMode, cr4: CR4.PAE };
    assert.ok(!run({ tables, va: 0x5000n, access: user, controls }).result.global);
  });

  it("an entry changed under the walk restarts it", () => {
    const tables = g1().set(0xb000, 0n);
    tables.interference.set(0x4028, 0xb007n);
    const { result, heard } = run({ tables, va: 0x5000n, access: user });
    assert.equal(result.frame, 0xb);
    assert.equal(heard.filter((text) => text.endsWith("l4")).length, 2);
    assert.equal(tables.get(0x4028), 0xb027n);
  });

  it("F-113 a table that may not be written keeps its bits and the walk goes on", () => {
    const tables = g1();
    tables.readOnlyPages.add(2);
    const { result, heard } = run({ tables, va: 0x5000n, access: user | write });
    assert.equal(result.kind, "translation");
    assert.equal(tables.get(0x2000), 0x3007n);
    assert.deepEqual(heard.slice(4), ["A 1000", "A 3000", "A 4028", "D 4028"]);
  });

  it("F-182 with a passive port nothing changes, and the result is the same", () => {
    const tables = g1();
    const before = tables.contents();
    const rules = walkRules(longMode, features);
    const out = walk(rules, g1Root, 0x5000n, user | write, passive(tables), new WalkResult<Gpa>());
    assert.deepEqual([out.kind, out.frame, out.access, out.dirty], ["translation", 9, 7, false]);
    assert.deepEqual(tables.contents(), before);
  });
});

describe("withoutRights", () => {
  it("finds what is mapped whoever may use it, and still stops at absent and reserved entries", () => {
    const controls = { ...longMode, cr4: longMode.cr4 | CR4.SMAP | CR4.PKE };
    const rules = withoutRights(walkRules(controls, features, 0xffffffff));
    const look = (leaf: bigint) =>
      walk(rules, g1Root, 0x5000n, 0, passive(g1().set(0x4028, leaf)), new WalkResult<Gpa>());
    assert.equal(look(0x9007n).frame, 9);
    assert.equal(look(0x9001n).frame, 9);
    assert.equal(look(0x9006n).reason, "not-present");
    assert.equal(look((1n << 50n) | 0x9007n).reason, "reserved");
  });
});

describe("walk, other formats", () => {
  const bits32: PagingControls = { cr0: CR0.PE | CR0.PG | CR0.WP, cr4: CR4.PSE, efer: 0n };
  const pae: PagingControls = { ...bits32, cr4: CR4.PAE };

  it("F-019 5-level: one more level, above bit 48", () => {
    const controls = { ...longMode, cr4: longMode.cr4 | CR4.LA57 };
    const tables = g1().set(0x8008, 0x1007n);
    const { result, heard } = run({
      tables,
      va: 0x0001_0000_0000_5000n,
      access: user,
      controls,
      root: gpa(0x8000),
    });
    assert.equal(result.frame, 9);
    assert.equal(heard[0], "1007 l5");
    assert.equal(tables.get(0x8008), 0x1027n);
  });

  it("F-016 G5: 32-bit tables with 4-byte entries", () => {
    const tables = new Tables().set(0x1004, 0x2067n, 4).set(0x280c, 0x9067n, 4);
    const { result } = run({ tables, va: 0x603000n, access: user | write, controls: bits32 });
    assert.deepEqual([result.frame, result.entryAt(1), result.entryAt(2)], [9, 0x280c, 0x1004]);
  });

  it("F-021 bit 7 of a PDE maps 4 MiB with PSE and is ignored without", () => {
    const tables = new Tables().set(0x1008, 0x4000e7n, 4).set(0x400000, 0x7067n, 4);
    const large = run({ tables, va: 0xa00000n, access: user, controls: bits32 }).result;
    assert.deepEqual([large.level, large.frame], [2, 0x600]);
    const small = run({ tables, va: 0x800000n, access: user, controls: { ...bits32, cr4: 0n } });
    assert.deepEqual([small.result.level, small.result.frame], [1, 7]);
  });

  it("F-022 F-023 PSE-36: bits 16:13 are physical bits 35:32, bit 17 is reserved", () => {
    const tables = new Tables().set(0x1000, 0x20e7n, 4);
    assert.equal(
      run({ tables, va: 0x1000n, access: user, controls: bits32 }).result.frame,
      0x100001,
    );
    tables.set(0x1000, 0x200e7n, 4);
    assert.equal(run({ tables, va: 0n, access: 0, controls: bits32 }).result.error, 9);
  });

  it("F-017 PAE: the registers are the top level, their rights and A bits none", () => {
    const tables = new Tables().set(0x1020, 0x2001n).set(0x2000, 0x3007n).set(0x3000, 0x9007n);
    const root = pdpteRegisters();
    assert.ok(loadPdptes(tables, gpa(0x1020), 46, root));
    const { result, heard } = run({ tables, va: 0n, access: user | write, controls: pae, root });
    assert.equal(result.frame, 9);
    assert.equal(result.entryAt(3), IN_REGISTER);
    assert.deepEqual(heard, [
      ..."2001 l3|3007 l2|9007 l1".split("|"),
      ..."A 2000|A 3000|D 3000".split("|"),
    ]);
    const absent = run({ tables, va: 0x40000000n, access: user, controls: pae, root }).result;
    assert.deepEqual([absent.error, absent.level], [4, 3]);
  });

  it("a PAE walk that starts from memory is a bug", () => {
    assert.throws(() => run({ tables: g1(), va: 0n, access: 0, controls: pae }), /PDPTE registers/);
  });

  it("PAE: a reserved bit in a present PDPTE refuses the load and keeps the old registers", () => {
    const tables = new Tables().set(0x1020, 0x2001n).set(0x1028, 0x4003n);
    const registers = pdpteRegisters().fill(7);
    assert.equal(loadPdptes(tables, gpa(0x1020), 46, registers), undefined);
    assert.deepEqual([...registers], Array(8).fill(7));
    tables.set(0x1028, 0x4002n);
    assert.ok(loadPdptes(tables, gpa(0x1020), 46, registers), "absent: nothing is reserved");
  });

  it("NX and error-code bit F need 8-byte entries, or SMEP", () => {
    const controls = { ...bits32, efer: EFER.NX };
    const access = user | fetch;
    assert.equal(
      run({ tables: new Tables().page(0x1000), va: 0n, access, controls }).result.error,
      4,
    );
    const smep = { ...controls, cr4: CR4.SMEP };
    assert.equal(
      run({ tables: new Tables().page(0x1000), va: 0n, access, controls: smep }).result.error,
      0x14,
    );
  });

  it("protection keys are of 4- and 5-level paging alone", () => {
    const tables = new Tables().set(0x1000, 0x2067n, 4).set(0x2000, 0x9067n, 4);
    const controls = { ...bits32, cr4: CR4.PKE };
    const { result } = run({ tables, va: 0n, access: user, controls, pkru: 0xffffffff });
    assert.equal(result.kind, "translation");
  });

  it("CR3 names the top table with bits 51:12, 31:12 or, for PDPTEs, 31:5", () => {
    const cr3 = 0x8004_5678_9abc_dffbn;
    assert.equal(topTable("4-level", cr3), 0x4_5678_9abc_d000);
    assert.equal(topTable("32-bit", cr3), 0x9abcd000);
    assert.equal(pdpteTable(cr3), 0x9abcdfe0);
  });

  it("F-031 without paging the linear address is the physical one", () => {
    const controls = { cr0: CR0.PE, cr4: 0n, efer: 0n };
    const { result, heard } = run({ tables: new Tables(), va: 0x7c00n, access: write, controls });
    assert.deepEqual(
      [result.kind, result.frame, result.access, result.level],
      ["translation", 7, 7, 1],
    );
    assert.deepEqual(heard, []);
  });
});
