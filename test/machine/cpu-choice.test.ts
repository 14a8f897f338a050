import assert from "node:assert/strict";
import { chooseCpu } from "../../src/machine/cpu-choice";
import type { Refusal } from "../../src/machine/refusal";
import type { CpuChoice } from "../../src/x86";

function chosen(text: string, mmu: "none" | "shadow" = "none"): CpuChoice {
  const choice = chooseCpu(text, mmu);
  if ("kind" in choice) assert.fail(choice.text);
  return choice;
}
const refusal = (text: string, mmu: "none" | "shadow" = "none"): string =>
  (chooseCpu(text, mmu) as Refusal).text;

describe("choice of processor", () => {
  it("is an AMD one with 40 physical bits, protection keys and four levels unless told otherwise", () => {
    const { vendor, physicalBits, features } = chosen("");
    assert.deepEqual([vendor, physicalBits], ["amd", 40]);
    assert.deepEqual([features.has("pku"), features.has("la57")], [true, false]);
    assert.deepEqual(chosen("default"), chosen(""));
  });

  it("max offers all that is built, words add and take away", () => {
    assert.ok(chosen("max").features.has("la57"));
    assert.ok(!chosen("max").features.has("sse2"));
    const { features } = chosen("max,-la57,-SMAP,-tsc-deadline");
    for (const absent of ["la57", "smap", "tscDeadline"] as const)
      assert.ok(!features.has(absent), absent);
    assert.ok(chosen("+la57").features.has("la57"));
  });

  it("reads vendor and physical bits", () => {
    const { vendor, physicalBits } = chosen("vendor=intel,phys-bits=52");
    assert.deepEqual([vendor, physicalBits], ["intel", 52]);
  });

  it("leaves protection keys out under shadow paging, as KVM does", () => {
    assert.ok(!chosen("", "shadow").features.has("pku"));
    assert.ok(!chosen("max", "shadow").features.has("pku"));
    assert.match(refusal("+pku", "shadow"), /^cpu: pku cannot be offered under shadow paging/);
  });

  it("refuses what it does not know in one sentence", () => {
    assert.match(refusal("vendor=via"), /^cpu: there is no vendor via: choose intel or amd$/);
    assert.match(refusal("phys-bits=53"), /^cpu: phys-bits 53 is outside 36 … 52/);
    assert.match(refusal("phys-bits=x"), /^cpu: phys-bits x is outside/);
    assert.match(refusal("smap"), /^cpu: "smap" is no part of a processor/);
    assert.match(refusal("+quantum"), /^cpu: "\+quantum" is no part/);
    assert.match(refusal("+sse2"), /^cpu: sse2 is not there yet: leave it out$/);
  });
});
