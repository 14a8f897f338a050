import assert from "node:assert/strict";
import { parseRunArguments, type RunArguments } from "../../src/cli/arguments";

function parse(line: string): RunArguments {
  const parsed = parseRunArguments(line.split(" "));
  if (typeof parsed === "string") assert.fail(parsed);
  return parsed;
}
const refusal = (...words: string[]): unknown => parseRunArguments(words);

describe("arguments of run", () => {
  it("reads every option", () => {
    assert.deepEqual(
      parseRunArguments([
        "tour.elf",
        "--initrd",
        "env",
        "--append",
        "one two",
        "--memory=64M",
        "--vcpus",
        "2",
        "--mmu",
        "none",
        "--era",
        "2012",
        "--no-tdp-mmu",
        "--cpu",
        "max,-smap",
        "--backing",
        "thp",
        "--host-memory=16M",
        "--max-instructions",
        "1_000_000",
        "--trace",
        "kvm_mmu_*,kvm_exit",
        "--check",
        "--stats",
        "json",
      ]),
      {
        guest: "tour.elf",
        initrd: "env",
        append: "one two",
        memory: 64 * 2 ** 20,
        vcpus: 2,
        mmu: "none",
        cpu: "max,-smap",
        era: "2012",
        tdpMmu: false,
        backing: "thp",
        hostMemory: 16 * 2 ** 20,
        maxInstructions: 1_000_000,
        trace: ["kvm_mmu_*", "kvm_exit"],
        check: true,
        stats: true,
      },
    );
  });

  it("runs under shadow paging with 256 MiB, one vCPU and no limit unless told otherwise", () => {
    const { mmu, memory, vcpus, maxInstructions } = parse("guest");
    assert.deepEqual([mmu, memory, vcpus, maxInstructions], ["shadow", 256 * 2 ** 20, 1, Infinity]);
  });

  it("refuses a backing or a size that is none", () => {
    assert.match(String(refusal("g", "--backing", "tape")), /tape is no backing: choose anonymous/);
    assert.match(String(refusal("g", "--host-memory", "lots")), /lots is not a size/);
  });

  it("reads sizes with and without a unit", () => {
    assert.equal(parse("g --memory 1G").memory, 2 ** 30);
    assert.equal(parse("g --memory 2048k").memory, 2 ** 21);
    assert.equal(parse("g --memory 0x400000").memory, 2 ** 22);
  });

  it("names the nearest option for an unknown one", () => {
    assert.equal(
      refusal("g", "--memry", "1G"),
      "there is no option --memry; did you mean --memory?",
    );
    assert.equal(refusal("g", "--zzzzzz"), "there is no option --zzzzzz: see penumbra help");
  });

  it("says in a sentence what is wrong with a value", () => {
    assert.equal(
      refusal("g", "--mmu", "soft"),
      "--mmu: there is no mode soft; choose shadow, ept, npt or none",
    );
    assert.match(
      String(refusal("g", "--era", "1999")),
      /^--era: era "1999" is not an era: use one of 2010/,
    );
    assert.match(String(refusal("g", "--memory", "lots")), /^--memory: lots is not a size/);
    assert.match(String(refusal("g", "--vcpus", "0")), /^--vcpus: 0 is not a whole number above 0/);
    assert.match(String(refusal("g", "--stats", "xml")), /^--stats: xml is no format: choose json/);
    assert.equal(refusal("g", "--memory"), "--memory needs a value: --memory SIZE");
    assert.match(String(refusal("g", "--check=1")), /^--check takes no value/);
    assert.match(String(refusal()), /^no guest given/);
    assert.match(String(refusal("a", "b")), /^two guests given, a and b: .*--append/);
  });

  it("refuses a trace pattern that no event matches", () => {
    assert.equal(
      refusal("g", "--trace", "kvm_mmu_get_pag"),
      "--trace: no event is called kvm_mmu_get_pag; did you mean kvm_mmu_get_page?",
    );
  });
});
