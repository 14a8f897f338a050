import assert from "node:assert/strict";
import {
  ACCESS,
  NO_SMAP,
  permissionFault,
  permissionTable,
  pkruMaskOf,
  walkAccess,
} from "../../../src/x86";

const inputs = (text: string) => ({
  wp: /(^| )WP/.test(text),
  nx: /(^| )NX/.test(text),
  smep: text.includes("SMEP"),
  smap: text.includes("SMAP"),
});

describe("permission table", () => {
  for (const [config, bytes] of [
    ["WP NX", "00 33 0f 3f 00 33 0f 3f 55 77 5f 7f 55 77 5f 7f"],
    ["WP NX SMEP SMAP", "f0 f3 0f 3f 00 33 0f 3f f5 f7 5f 7f f5 f7 5f 7f"],
    ["!WP NX", "00 00 0f 3f 00 00 0f 3f 55 55 5f 7f 55 55 5f 7f"],
    ["!WP NX SMEP", "00 00 0f 3f 00 00 0f 3f f5 f5 5f 7f f5 f5 5f 7f"],
    ["!WP NX SMAP", "f0 f0 0f 3f 00 00 0f 3f 55 55 5f 7f 55 55 5f 7f"],
    ["WP !NX", "00 33 0f 3f 00 33 0f 3f 00 33 0f 3f 00 33 0f 3f"],
  ] as const)
    it(`F-029 ${config} gives the 16 bytes of the reference`, () => {
      const hex = [...permissionTable(inputs(config))].map((b) => b.toString(16).padStart(2, "0"));
      assert.equal(hex.join(" "), bytes);
    });

  it("F-029 the protection-key masks are those of the reference", () => {
    assert.equal(pkruMaskOf(true, true), 0xdd00);
    assert.equal(pkruMaskOf(true, false), 0xd500);
    assert.equal(pkruMaskOf(false, true), 0);
  });
});

describe("permissionFault", () => {
  const table = permissionTable(inputs("WP NX SMEP SMAP"));

  it("says P for a right that is missing and 0 for one that is there", () => {
    assert.equal(permissionFault(table, 0, 0, 5, 0, ACCESS.user | ACCESS.write), 1);
    assert.equal(permissionFault(table, 0, 0, 7, 0, ACCESS.user | ACCESS.write), 0);
  });

  it("a disabled key refuses data accesses to user pages only", () => {
    const refused = (rights: number, access: number) =>
      permissionFault(table, 0xdd00, 0b01 << 4, rights, 2, access);
    assert.equal(refused(7, ACCESS.user), 0x21);
    assert.equal(refused(7, ACCESS.user | ACCESS.fetch), 0, "fetches have no key");
    assert.equal(refused(3, 0), 0, "supervisor pages have no key");
    assert.equal(refused(7, NO_SMAP), 0x21, "the supervisor obeys keys of user pages");
    assert.equal(permissionFault(table, 0xdd00, 0b01 << 4, 7, 3, ACCESS.user), 0, "another key");
  });

  it("a write-disabled key stops the supervisor only with CR0.WP", () => {
    const write = ACCESS.write | NO_SMAP;
    assert.equal(permissionFault(table, pkruMaskOf(true, true), 0b10, 7, 0, write), 0x21);
    assert.equal(permissionFault(table, pkruMaskOf(true, false), 0b10, 7, 0, write), 0);
  });
});

describe("walkAccess", () => {
  it("AC lifts SMAP for explicit supervisor accesses alone", () => {
    assert.equal(walkAccess(ACCESS.write, true), ACCESS.write | NO_SMAP);
    assert.equal(walkAccess(ACCESS.write, false), ACCESS.write);
    assert.equal(walkAccess(ACCESS.user, true), ACCESS.user);
    assert.equal(walkAccess(ACCESS.implicit, true), 0);
  });
});
