import assert from "node:assert/strict";
import { EVENT_NAMES, formatEvent } from "../../src/kvm";
import type { FieldValue } from "../../src/x86";
import { touchedGuest } from "./tables";

const print = (name: string, fields: Record<string, FieldValue>): string =>
  formatEvent({ name, fields, stamp: { vcpu: 0, rip: 0n, tick: 0 } });

/** Event, fields, and the line its tracepoint prints. */
const LINES: readonly (readonly [string, Record<string, FieldValue>, string])[] = [
  ["kvm_entry", { vcpu: 1, rip: 0x7c00n }, "vcpu 1, rip 0x7c00"],
  [
    "kvm_exit",
    { vcpu: 0, reason: "INVLPG", rip: 0x10n, info1: 0x5000n, info2: 0 },
    "vcpu 0 reason INVLPG rip 0x10 info1 0x0000000000005000 info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000",
  ],
  ["kvm_inj_virq", { irq: 32 }, "irq 32"],
  [
    "kvm_msr",
    { write: true, index: 0xc0000080, value: 0xd01n, exception: true },
    "msr_write c0000080 = 0xd01 (#GP)",
  ],
  [
    "kvm_mmio",
    { kind: "read", len: 4, gpa: 0xfee00020, val: 1n },
    "mmio read len 4 gpa 0xfee00020 val 0x1",
  ],
  [
    "kvm_pio",
    { write: false, port: 0x3f8, size: 1, count: 1, val: 0x41 },
    "pio_read at 0x3f8 size 1 count 1 val 0x41",
  ],
  [
    "kvm_cpuid",
    {
      function: 0x80000001,
      index: 2,
      rax: 0,
      rbx: 1,
      rcx: 0x20,
      rdx: 0x2c100800,
      found: true,
      used_max_basic: false,
    },
    "func 80000001 idx 2 rax 0 rbx 1 rcx 20 rdx 2c100800, cpuid entry found",
  ],
  [
    "kvm_cpuid",
    {
      function: 0x20,
      index: 0,
      rax: 1,
      rbx: 2,
      rcx: 3,
      rdx: 4,
      found: false,
      used_max_basic: true,
    },
    "func 20 idx 0 rax 1 rbx 2 rcx 3 rdx 4, cpuid entry not found, used max basic",
  ],
  [
    "kvm_emulate_insn",
    { csbase: 0, rip: 0xffffffff81000010n, insn: "48 89 03", mode: "prot64" },
    "0:ffffffff81000010: 48 89 03 (prot64)",
  ],
  ["kvm_page_fault", { address: 0x5000n, error_code: 4 }, "address 5000 error_code 4"],
  [
    "kvm_age_page",
    { hva: 0x7f0000009000, gfn: 9, referenced: true },
    "hva 7f0000009000 gfn 9 YOUNG",
  ],
  [
    "kvm_age_page",
    { hva: 0x7f0000009000, gfn: 9, referenced: false },
    "hva 7f0000009000 gfn 9 OLD",
  ],
  ["kvm_inj_exception", { vector: 14, error: 6 }, "#PF (0x6)"],
  ["kvm_cr", { write: true, cr: 3, value: 0x1000n }, "cr_write 3 = 0x1000"],
  [
    "kvm_age_hva",
    { start: 0x1000, end: 0x3000 },
    "mmu notifier age hva: 0x0000000000001000 -- 0x0000000000003000",
  ],
  [
    "kvm_test_age_hva",
    { start: 0x1000, end: 0x2000 },
    "mmu notifier test age hva: 0x0000000000001000",
  ],
  ["kvm_mmu_pagetable_walk", { addr: 0x5000n, pferr: 0 }, "addr 5000 pferr 0"],
  [
    "kvm_mmu_get_page",
    { gen: 0, gfn: 0x200, role: 0x1881 | 0x10000, root_count: 2, unsync: false, created: false },
    "sp gen 0 gfn 200 l1 8-byte q0 direct --- invalid nxe !ad root 2 sync existing",
  ],
  [
    "kvm_mmu_unsync_page",
    { gen: 1, gfn: 2, role: 0x731, root_count: 0, unsync: true },
    "sp gen 1 gfn 2 l1 4-byte q1 wux !nxe ad root 0 unsync",
  ],
  [
    "kvm_mmu_sync_page",
    { gfn: 4, role: 0x1701, root_count: 0, unsync: false },
    "sp gfn 4 1 pae q0 wux nxe root 0 sync",
  ],
  ["retry", { why: "stale-seq", gfn: 9 }, "why stale-seq gfn 9"],
];

describe("events", () => {
  for (const [name, fields, line] of LINES)
    it(`prints ${name}: ${line.slice(0, 40)}`, () => assert.equal(print(name, fields), line));

  it("TLB fills and flushes are told, with what may be kept and why it goes", () => {
    const g = touchedGuest();
    g.movCr3(0x1000);
    g.log.length = 0;
    g.read(3, 0x5000);
    g.invlpg(0x5000);
    g.movCr3(0x1000);
    assert.deepEqual(g.events(["tlb_fill", "tlb_flush"]), [
      "tlb_fill: vcpu 0 va 5000 pfn 100009 level 1 access rwx global false",
      "tlb_flush: scope page vcpu 0 va 5000 why invlpg",
      "tlb_flush: scope current vcpu 0 why requested",
    ]);
  });

  it("every event that is announced has a name in the list", () => {
    const g = touchedGuest().entry(0x4030, 0x4067);
    g.write(0, 0x6028, 0xd0000067);
    g.read(0, 0x5000);
    g.movCr3(0x1000).invlpg(0x5000);
    g.setSlot(0, 0, 0, 0x7f0000000000);
    g.enter();
    const unknown = g.log
      .map((e) => e.name)
      .filter((n) => !EVENT_NAMES.includes(n) && !n.startsWith("host_"));
    assert.deepEqual([...new Set(unknown)], []);
  });
});
