import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dispatch } from "../../src/cli/commands";
import type { Console } from "../../src/cli/console";
import { Code, guestImage } from "../machine/guest-code";

interface Finished {
  readonly status: number;
  readonly output: string;
  readonly printed: string;
  readonly errors: readonly string[];
}

/** Runs a command line with these files; the clock stands still. */
async function penumbra(line: string, files: Record<string, Uint8Array> = {}): Promise<Finished> {
  let output = "";
  const printed: string[] = [];
  const errors: string[] = [];
  const console: Console = {
    output: (bytes) => {
      output += String.fromCharCode(...bytes);
    },
    print: (text) => printed.push(text),
    error: (text) => errors.push(text),
    readFile: (path) => files[path] ?? { problem: "no such file: check the path" },
    now: () => 0,
  };
  const status = await dispatch(line.split(" "), console, "1.2.3");
  return { status, output, printed: printed.join("\n"), errors };
}

const files = {
  "hello.elf": guestImage(new Code().print("Hello\n").exit(0)),
  "fails.elf": guestImage(new Code().exit(1)),
  "off.elf": guestImage(new Code().raw(0x66, 0xba, 4, 6, 0x66, 0xb8, 0, 0x20, 0x66, 0xef)),
  "dies.elf": guestImage(new Code().lidt(0x200000).ud2),
  "halts.elf": guestImage(new Code().hlt),
  "spins.elf": guestImage(new Code().raw(0xeb, 0xfe)),
  "notes.txt": Uint8Array.of(1, 2, 3),
  "tour.elf": new Uint8Array(readFileSync("media/guests/paging-tour/paging-tour.elf")),
};
const run = (line: string): Promise<Finished> => penumbra(`run ${line} --memory 4M`, files);

describe("penumbra run", () => {
  for (const mmu of ["none", "shadow", "ept", "npt"]) {
    it(`gives the guest's output and its status (${mmu})`, async () => {
      const { status, output, errors } = await run(`hello.elf --mmu ${mmu}`);
      assert.deepEqual([status, output, errors], [1, "Hello\n", []]);
      assert.equal((await run(`fails.elf --mmu ${mmu}`)).status, 3);
      assert.equal((await run(`off.elf --mmu ${mmu}`)).status, 0);
    });

    it(`a guest that died gives 3 and its last state (${mmu})`, async () => {
      const { status, errors } = await run(`dies.elf --mmu ${mmu}`);
      assert.equal(status, 3);
      assert.equal(errors[0], "penumbra: the guest died on vcpu 0: triple fault");
      const text = errors.join("\n");
      assert.match(text, /rip=0000000000100013 rflags=/);
      assert.match(text, /cr0=11 cr2=0 cr3=0 cr4=0 efer=0/);
      assert.match(text, /walk of 0x100013: paging is off/);
    });
  }

  it("a guest that halted for ever is said to have done so", async () => {
    const { status, errors } = await run("halts.elf");
    assert.equal(status, 3);
    assert.match(errors[0] ?? "", /halted for ever: no vCPU runs and nothing will wake one/);
  });

  it("stops at the instruction limit with 124", async () => {
    const { status, errors } = await run("spins.elf --max-instructions 5000");
    assert.equal(status, 124);
    assert.match(errors[0] ?? "", /stopped after 5000 instructions/);
  });

  it("bad input gives 2 and one line that says what and what to do", async () => {
    for (const [line, text] of [
      ["gone.elf", "penumbra: gone.elf: no such file: check the path"],
      ["hello.elf --initrd gone", "penumbra: gone: no such file: check the path"],
      [
        "hello.elf --mmu tdp",
        "penumbra: --mmu: there is no mode tdp; choose shadow, ept, npt or none",
      ],
      [
        "hello.elf --vcpus 999",
        "penumbra: vcpus: 999 is outside 1 … 64: choose a number between them",
      ],
    ] as const)
      assert.deepEqual(await run(line), { status: 2, output: "", printed: "", errors: [text] });
    const { status, errors } = await run("notes.txt");
    assert.equal(status, 2);
    assert.match(
      errors.join(),
      /^penumbra: notes.txt: neither ELF, nor multiboot, nor a boot sector/,
    );
    assert.equal(
      (await penumbra("runn x")).errors[0],
      "penumbra: there is no command runn; did you mean run?",
    );
  });

  it("ends stderr with one line of figures", async () => {
    const { errors } = await run("hello.elf --stats json");
    const figures = JSON.parse(errors.at(-1) ?? "") as Record<string, unknown>;
    assert.deepEqual(Object.keys(figures), [
      "instructions",
      "exits",
      "shadowPages",
      "sptes",
      "unsync",
      "faults",
      "seconds",
    ]);
    assert.equal(figures.instructions, 21);
    assert.deepEqual(figures.exits, { EXCEPTION_NMI: 1, IO_INSTRUCTION: 7 });
  });

  it("prints the events that are asked for, as the kernel words them", async () => {
    const { errors } = await run("hello.elf --trace kvm_pio,kvm_mmu_set_spte");
    assert.equal(errors.filter((line) => line.includes("kvm_pio")).length, 7);
    assert.match(
      errors[0] ?? "",
      /^0 vcpu 0 rip 0x10000c kvm_mmu_set_spte: gfn 100 spte [0-9a-f]+ \(.*\) level 1 at [0-9a-f]+$/,
    );
    assert.match(
      errors.at(-1) ?? "",
      /^\d+ vcpu 0 rip 0x[0-9a-f]+ kvm_pio: pio_write at 0xf4 size 4 count 1 val 0x0$/,
    );
  });

  it("the paging tour reaches its last line under the checker, the same in all modes", async () => {
    const golden = readFileSync("test/golden/paging-tour.serial.golden", "latin1");
    for (const options of ["none", "shadow --check", "ept --check", "npt --check"]) {
      const { status, output, errors } = await penumbra(
        `run tour.elf --memory 64M --mmu ${options}`,
        files,
      );
      assert.equal(output, golden, options);
      assert.deepEqual([status, errors], [0, []]);
    }
  });

  it("help names every option; --version gives the version", async () => {
    const { printed, status } = await penumbra("help");
    assert.equal(status, 0);
    for (const option of ["--initrd FILE", "--mmu MODE", "--max-instructions N", "--check"])
      assert.ok(printed.includes(option), option);
    assert.equal((await penumbra("--version")).printed, "1.2.3");
  });
});
