import assert from "node:assert/strict";
import {
  ACCESS,
  CR0,
  CR4,
  gpa,
  inspectWalk,
  NO_SMAP,
  type PagingControls,
  passive,
  walkRules,
} from "../../../src/x86";
import { features, g1, g1Root, longMode, Tables } from "./tables";

const { user, write, fetch } = ACCESS;

function inspect(tables: Tables, va: bigint, access: number, controls = longMode, pkru = 0) {
  const rules = walkRules(controls, features, pkru);
  return inspectWalk(rules, g1Root, va, access, passive(tables));
}

function failure(tables: Tables, va: bigint, access: number, controls?: PagingControls, pkru = 0) {
  const { outcome } = inspect(tables, va, access, controls, pkru);
  assert.equal(outcome.kind, "fault");
  return outcome.kind === "fault" ? outcome.failure : assert.fail();
}

describe("inspectWalk", () => {
  it("F-182 names every step and changes nothing", () => {
    const tables = g1();
    const before = tables.contents();
    const report = inspect(tables, 0x5123n, user | write);
    assert.deepEqual(
      report.steps.map(({ name, index, at, flags }) => [name, index, at, flags]),
      [
        ["PML4E", 0, 0x1000, "P W U"],
        ["PDPTE", 0, 0x2000, "P W U"],
        ["PDE", 0, 0x3000, "P W U"],
        ["PTE", 5, 0x4028, "P W U"],
      ],
    );
    assert.deepEqual(report.outcome, {
      kind: "translation",
      frame: 9,
      address: 0x9123,
      level: 1,
      access: 7,
      global: false,
    });
    assert.deepEqual(tables.contents(), before);
  });

  it("gives the rights left after each step", () => {
    const tables = g1()
      .set(0x2000, 0x3005n)
      .set(0x4028, (1n << 63n) | 0x9003n);
    assert.deepEqual(
      inspect(tables, 0x5000n, 0).steps.map((step) => step.access),
      [7, 5, 5, 0],
    );
  });

  it("a PDPTE of PAE paging has no address", () => {
    const controls = { ...longMode, efer: 0n };
    const root = Uint32Array.of(0x2001, 0, 0, 0, 0, 0, 0, 0);
    const rules = walkRules(controls, features);
    const tables = new Tables().set(0x2000, 0x3007n).set(0x3000, 0x9007n);
    const report = inspectWalk(rules, root, 0n, 0, passive(tables));
    assert.deepEqual(
      report.steps.map(({ name, at, role }) => [name, at, role]),
      [
        ["PDPTE", undefined, "register"],
        ["PDE", 0x2000, "table"],
        ["PTE", 0x3000, "page"],
      ],
    );
  });

  it("an address that is not canonical has no walk", () => {
    const { steps, outcome } = inspect(g1(), 0x8000_0000_0000n, 0);
    assert.deepEqual(steps, []);
    assert.equal(
      outcome.kind === "non-canonical" && outcome.text,
      "0x800000000000 is not canonical: bits 63:47 differ",
    );
  });
});

describe("walkFailure", () => {
  it("blames P of the absent entry, or the table that is not there", () => {
    const absent = failure(g1(), 0x7000n, user);
    assert.deepEqual(
      [absent.level, absent.bit, absent.text],
      [1, 0, "PTE 0x0: P is clear: nothing is mapped here"],
    );
    const hole = failure(g1().set(0x2000, 0x99007n), 0x5000n, user);
    assert.deepEqual([hole.level, hole.bit], [2, undefined]);
    assert.equal(hole.text, "PDE 0x0: its table at 0x99000 is not in memory");
  });

  it("names the reserved bits and the section for the format", () => {
    const one = failure(g1().set(0x3000, 0x20a7n), 0x5000n, user);
    assert.deepEqual([one.level, one.bit, one.sdm], [2, 13, "3A 4.5"]);
    assert.equal(one.text, "PDE 0x20a7: bit 13 is reserved here and set");
    const two = failure(g1().set(0x4028, 0x000c_0000_0000_9007n), 0x5000n, user);
    assert.match(two.text, /bits 50, 51 are reserved here and set/);
  });

  it("F-102 blames the highest entry that takes the right away", () => {
    const tables = g1().set(0x2000, 0x3005n).set(0x4028, 0x9005n);
    const written = failure(tables, 0x5000n, user | write);
    assert.deepEqual([written.level, written.bit, written.sdm], [3, 1, "3A 4.6.1"]);
    const top = failure(g1().set(0x1000, 0x2003n), 0x5000n, user);
    assert.deepEqual([top.level, top.bit], [4, 2]);
    const leaf = failure(g1().set(0x4028, (1n << 63n) | 0x9007n), 0x5000n, fetch);
    assert.deepEqual([leaf.level, leaf.bit], [1, 63]);
  });

  it("blames SMAP and SMEP, not a right that did not count", () => {
    const cr4 = longMode.cr4 | CR4.SMEP | CR4.SMAP;
    const withoutWp = { ...longMode, cr0: CR0.PE | CR0.PG, cr4 };
    const tables = g1().set(0x4028, 0x9005n);
    assert.match(
      failure(tables, 0x5000n, write, withoutWp).text,
      /CR4.SMAP refuses supervisor acc/,
    );
    assert.match(
      failure(tables, 0x5000n, fetch, withoutWp).text,
      /CR4.SMEP refuses supervisor fet/,
    );
    assert.match(
      failure(tables, 0x5000n, write | NO_SMAP, { ...longMode, cr4 }).text,
      /W is clear/,
    );
  });

  it("names the protection key", () => {
    const controls = { ...longMode, cr4: longMode.cr4 | CR4.PKE };
    const tables = g1().set(0x4028, (5n << 59n) | 0x9007n);
    const refused = failure(tables, 0x5000n, user, controls, 1 << 10);
    assert.deepEqual([refused.bit, refused.sdm], [59, "3A 4.6.2"]);
    assert.match(refused.text, /PKRU refuses protection key 5/);
  });

  it("says the section of 32-bit paging for its reserved bits", () => {
    const controls = { cr0: CR0.PE | CR0.PG, cr4: CR4.PSE, efer: 0n };
    const rules = walkRules(controls, features);
    const tables = new Tables().set(0x1000, 0x200e7n, 4);
    const { outcome } = inspectWalk(rules, gpa(0x1000), 0n, 0, passive(tables));
    assert.equal(outcome.kind === "fault" && outcome.failure.sdm, "3A 4.3");
    assert.equal(outcome.kind === "fault" && outcome.errorFlags, "P RSVD");
  });
});
