import assert from "node:assert/strict";
import { formatEvent } from "../../src/kvm";
import type { MachineOptions } from "../../src/machine";
import { GPR, type TraceEvent } from "../../src/x86";
import { CODE_AT } from "./guest-code";
import { LongGuest, PTE } from "./long-guest";

const NOP = 0x90;
const CPUID = [0x0f, 0xa2];
const RDMSR = [0x0f, 0x32];
const WRMSR = [0x0f, 0x30];
/** mov rax, [rbx] and mov [rbx], rax */
const LOAD = [0x48, 0x8b, 0x03];
const STORE = [0x48, 0x89, 0x03];
/** movsq */
const MOVE = [0x48, 0xa5];
/** lgdt [rbx] */
const LGDT = [0x0f, 0x01, 0x13];
const HLT = 0xf4;
/** mov ecx, … */
const ecx = (value: number): number[] => [0xb9, ...new Uint8Array(Uint32Array.of(value).buffer)];
const eax = (value: number): number[] => [0xb8, ...new Uint8Array(Uint32Array.of(value).buffer)];

const DEVICE = 0x40000000n;
const EFER = 0xc0000080;
const LSTAR = 0xc0000082;
const KERNEL_GS_BASE = 0xc0000102;

interface Ran {
  readonly guest: LongGuest;
  readonly log: readonly TraceEvent[];
  /** Lines of some of the events. */
  lines(...names: readonly string[]): string[];
}

/** Runs code to its HLT under a hypervisor; `DEVICE` is a page without memory. */
function ran(code: readonly number[], options: Partial<MachineOptions> = {}): Ran {
  const guest = new LongGuest([...code, HLT], { mmu: "shadow", ...options });
  guest.map(DEVICE, 0xd0000000n, PTE.P | PTE.W);
  const log: TraceEvent[] = [];
  guest.machine.trace.on("*", (event) => log.push(event));
  guest.state.setGpr(GPR.rbx, DEVICE);
  guest.state.setGpr(GPR.rdi, DEVICE);
  guest.state.setGpr(GPR.rsi, BigInt(CODE_AT));
  guest.machine.run(100);
  const lines = (...names: readonly string[]): string[] =>
    log.filter(({ name }) => names.includes(name)).map((e) => `${e.name}: ${formatEvent(e)}`);
  return { guest, log, lines };
}

/** Exits by reason, and where. */
const exitsOf = ({ log }: Ran, reason: string): string[] =>
  log
    .filter(({ name, fields }) => name === "kvm_exit" && fields.reason === reason)
    .map(({ fields }) => String(fields.info1));

describe("instructions that exit", () => {
  it("CPUID of every leaf exits, and says what it answered", () => {
    const found = ran([...eax(0x40000000), ...CPUID], { cpu: "vendor=intel" });
    assert.deepEqual(found.lines("kvm_cpuid"), [
      "kvm_cpuid: func 40000000 idx 0 rax 40000001 rbx 4b4d564b rcx 564b4d56 rdx 4d, cpuid entry found",
    ]);
    assert.equal(exitsOf(found, "CPUID").length, 1);
    const plain = ran([...eax(0), ...CPUID], { cpu: "vendor=intel" });
    assert.match(
      plain.lines("kvm_cpuid").join(),
      /func 0 idx 0 rax \w+ rbx 756e6547 rcx 6c65746e rdx 49656e69, cpuid entry found$/,
    );
    assert.equal(plain.guest.state.gpr(GPR.rbx), 0x756e6547n);
  });

  it("a leaf beyond the last is not found: Intel takes its last basic one, AMD says zero", () => {
    const text = (vendor: string): string =>
      ran([...eax(0x7777), ...ecx(3), ...CPUID], { cpu: `vendor=${vendor}` })
        .lines("kvm_cpuid")
        .join();
    assert.match(text("intel"), /func 7777 idx 3 .*, cpuid entry not found, used max basic$/);
    assert.match(text("amd"), /idx 3 rax 0 rbx 0 rcx 0 rdx 0, cpuid entry not found$/);
  });

  it("RDMSR and WRMSR exit where the MSR is not passed through", () => {
    const through = ran([...ecx(KERNEL_GS_BASE), ...RDMSR, ...WRMSR]);
    assert.deepEqual(through.lines("kvm_msr"), []);
    assert.deepEqual([exitsOf(through, "MSR_READ"), exitsOf(through, "MSR_WRITE")], [[], []]);
    const lstar = [...ecx(LSTAR), ...RDMSR, ...WRMSR];
    for (const mmu of ["shadow", "ept"] as const) {
      const caught = ran(lstar, { mmu });
      assert.deepEqual(caught.lines("kvm_msr"), [
        "kvm_msr: msr_read c0000082 = 0x0",
        "kvm_msr: msr_write c0000082 = 0x0",
      ]);
      assert.deepEqual(exitsOf(caught, "MSR_READ"), [String(LSTAR)]);
    }
    assert.deepEqual(ran(lstar, { mmu: "npt" }).lines("kvm_msr"), [], "SVM keeps it in the VMCB");
  });

  for (const mmu of ["shadow", "ept", "npt"] as const)
    it(`WRMSR to EFER exits once, before the MMU hears of it, under ${mmu}`, () => {
      const run = ran([...ecx(EFER), ...RDMSR, ...WRMSR], { mmu });
      assert.equal(exitsOf(run, mmu === "npt" ? "msr" : "MSR_WRITE").length, mmu === "npt" ? 2 : 1);
      assert.deepEqual(run.lines("kvm_msr"), [
        "kvm_msr: msr_read c0000080 = 0xd00",
        "kvm_msr: msr_write c0000080 = 0xd00",
      ]);
      const names = run.log.map(({ name }) => name);
      const at = names.lastIndexOf("kvm_msr");
      assert.deepEqual(names.slice(at - 1, at + 2), ["kvm_exit", "kvm_msr", "kvm_entry"]);
    });

  it("the vendor that CPUID tells does not depend on how the hardware translates", () => {
    for (const [mmu, vendor, ebx] of [
      ["npt", "intel", 0x756e6547n],
      ["ept", "amd", 0x68747541n],
    ] as const) {
      const { guest } = ran([...eax(0), ...CPUID], { mmu, cpu: `vendor=${vendor}` });
      assert.equal(guest.state.gpr(GPR.rbx), ebx);
    }
  });

  it("a refused one says #GP", () => {
    const run = ran([...ecx(EFER), ...eax(2), ...WRMSR]);
    assert.deepEqual(run.lines("kvm_msr"), ["kvm_msr: msr_write c0000080 = 0x2 (#GP)"]);
  });
});

describe("emulated instructions", () => {
  for (const mmu of ["shadow", "ept", "npt"] as const)
    it(`an access to a device is one exit, emulated once, at its own rip, under ${mmu}`, () => {
      const run = ran([NOP, NOP, ...LOAD, NOP, ...STORE], { mmu });
      const at = (offset: number): string => (CODE_AT + offset).toString(16);
      assert.deepEqual(run.lines("kvm_emulate_insn"), [
        `kvm_emulate_insn: 0:${at(2)}: 48 8b 03 (prot64)`,
        `kvm_emulate_insn: 0:${at(6)}: 48 89 03 (prot64)`,
      ]);
      const faults = run.log.filter(
        ({ name, fields }) =>
          name === "kvm_page_fault" && [DEVICE, 0xd0000000n].includes(fields.address as bigint),
      );
      assert.deepEqual(
        faults.map(({ fields, stamp }) => [fields.rip, stamp.rip]),
        [2, 6].map((offset) => [BigInt(CODE_AT + offset), BigInt(CODE_AT + offset)]),
      );
      assert.deepEqual(
        run.log.filter(({ name }) => name === "kvm_mmio").map(({ fields }) => fields.kind),
        ["read", "write"],
      );
      assert.equal(run.guest.machine.vm?.vcpus[0]?.mmu.stats.mmio_exits, 2);
      assert.equal(run.guest.machine.vm?.vcpus[0]?.mmu.stats.insn_emulation, 2);
    });

  it("an instruction with two accesses is emulated as a whole", () => {
    const run = ran([...MOVE]);
    assert.equal(run.lines("kvm_emulate_insn").length, 1);
    assert.deepEqual(
      run.log.filter(({ name }) => name === "kvm_mmio").map(({ fields }) => fields.val),
      [0xf4a548n],
    );
  });

  it("a system instruction whose operand is no memory is told as well", () => {
    assert.match(
      ran([NOP, ...LGDT])
        .lines("kvm_emulate_insn")
        .join(),
      /: 0f 01 13 \(prot64\)/,
    );
  });

  it("a write to a shadowed table is emulated, and none is without a hypervisor", () => {
    // The leaf's table, mapped and written through the identity mapping of 2 MiB at 0x200000.
    const table = (mmu: "shadow" | "none"): Ran => {
      const run = new LongGuest([NOP, ...STORE, HLT], { mmu });
      run.map(0x600000n, 0x200000n, PTE.P | PTE.W);
      run.state.setGpr(GPR.rbx, 0x600ff8n);
      const log: TraceEvent[] = [];
      run.machine.trace.on("kvm_emulate_insn", (event) => log.push(event));
      run.machine.run(100);
      return { guest: run, log, lines: () => log.map((event) => formatEvent(event)) };
    };
    assert.deepEqual(table("shadow").lines(), [
      `0:${(CODE_AT + 1).toString(16)}: 48 89 03 (prot64)`,
    ]);
    assert.deepEqual(table("none").lines(), []);
  });
});
