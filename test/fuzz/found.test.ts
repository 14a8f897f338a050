import { replay, replayChecking } from "./paging-ops/replay";

describe("programs that the fuzzer found", () => {
  it("a huge page that is being moved is not reclaimed meanwhile", () => {
    replayChecking(
      {
        mmu: "npt",
        mode: "32-bit",
        tlb: [0xf4240, 0xf4240],
        backing: "huge",
        hostPhysicalBits: 0x34,
        knobs: { pml: false },
      },
      [
        { op: "memory-limit", frames: 0x317 },
        {
          op: "host",
          action: "migrate",
          page: 0x214,
          meanwhile: {
            point: "N1",
            step: { op: "access", vcpu: 0, kind: "read", cpl: 0, va: 0x400000n, size: 8 },
          },
        },
      ],
    );
  });
  it("what PML has logged of a slot is not lost when the slot moves, whoever races", () => {
    replayChecking(
      {
        mmu: "ept",
        mode: "none",
        tlb: [0xf4240, 0xf4240, 0xf4240, 0xf4240],
        backing: "huge",
        knobs: { nxHugePages: true, nxHugePagesRecoveryRatio: 2 },
      },
      [
        { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0x211000n, value: 0x1n, size: 8 },
        { op: "slot", id: 1, base: 0x200, pages: 0x200, backing: 0x200, flags: 1 },
        { op: "access", vcpu: 0, kind: "write", cpl: 3, va: 0x213000n, size: 8, value: 0x1n },
        { op: "slot", id: 1, base: 0x407, pages: 0x200, backing: 0x200, flags: 1 },
        {
          op: "dirty-log",
          id: 1,
          meanwhile: {
            point: "R2",
            nth: 1,
            step: {
              op: "access",
              vcpu: 0,
              kind: "fetch",
              cpl: 0,
              va: 0x216000n,
              size: 8,
              cached: true,
            },
          },
        },
      ],
    );
  });
  it("what PML has logged of a slot is not lost when the slot moves", () => {
    replayChecking({ mmu: "ept", mode: "none", backing: "hugetlb" }, [
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0x214000n, value: 0x1n, size: 8 },
      { op: "slot", id: 1, base: 0x200, pages: 0x200, backing: 0x200, flags: 1 },
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0x200000n, value: 0x1n, size: 8 },
      { op: "slot", id: 1, base: 0x407, pages: 0x200, backing: 0x200, flags: 1 },
      { op: "dirty-log", id: 1 },
    ]);
  });
  it("a PDPTE in memory that the walk itself marks may be reserved or not", () => {
    replayChecking(
      {
        mmu: "npt",
        mode: "PAE",
        backing: "file",
        hostPhysicalBits: 0x34,
        knobs: { pml: false, eptad: false },
      },
      [
        { op: "cr3", vcpu: 0, value: 0x210000n },
        {
          op: "access",
          vcpu: 0,
          kind: "write",
          cpl: 0,
          va: 0xc0210008n,
          value: 0x210001n,
          size: 8,
        },
        { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0xc0210028n, value: 0x1n, size: 8 },
        { op: "access", vcpu: 0, kind: "read", cpl: 0, va: 0x40205000n, value: 0x1n },
      ],
    );
  });
  it("an access in whose middle another came is not given up as that one may be", () => {
    replay({ mode: "32-bit", tlb: [1, 1, 1, 1], hostPhysicalBits: 0x34, tdpMmu: false }, [
      { op: "flip", vcpu: 0, register: "cr4", bits: 0x10n },
      { op: "cr3", vcpu: 0, value: 0x210000n },
      { op: "cr3", vcpu: 3, value: 0x210000n },
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0x4b1ff000n, size: 8, value: 0x1n },
      {
        op: "access",
        vcpu: 3,
        kind: "write",
        cpl: 0,
        va: 0xc0211000n,
        value: 0x1n,
        size: 8,
        meanwhile: {
          point: "P2",
          nth: 1,
          step: {
            op: "access",
            vcpu: 2,
            kind: "write",
            cpl: 0,
            va: 0xc0080844n,
            value: 0x219007n,
            size: 4,
          },
        },
      },
    ]);
  });
  it("INV-N-01 an spte of 2010 is not made anew while its host page is going", () => {
    replay({ era: "2010", mode: "none", tdpMmu: false }, [
      { op: "flip", vcpu: 0, register: "cr0", bits: 0x80000000n },
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0xc0010004n, value: 0x243047n, size: 4 },
      { op: "store", vcpu: 0, gpa: 0x243ffc, size: 4, value: 0x1007n },
      { op: "access", vcpu: 0, kind: "write", cpl: 3, va: 0x7ff000n, value: 0x1n },
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0xc0243ffcn, value: 0x1065n, size: 4 },
      {
        op: "host",
        action: "swap-out",
        page: 1,
        meanwhile: {
          point: "N1",
          step: { op: "access", vcpu: 0, kind: "write", cpl: 3, va: 0x7ff000n, value: 0x1n },
        },
      },
    ]);
  });
  it("a PDPTE in memory that a raced access marks is still known to a TLB", () => {
    replay({ mmu: "npt", era: "2012", tlb: [0xf4240, 0xf4240], tdpMmu: false }, [
      { op: "mode", vcpu: 0, mode: "PAE", cr3: 0x11000n },
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0xc0011000n, value: 0x200001n },
      { op: "flip", vcpu: 0, register: "cr0", bits: 0x10000n },
      { op: "cr3", vcpu: 1, value: 0x11000n },
      { op: "access", vcpu: 1, kind: "write", cpl: 0, va: 0xffff800000200008n, value: 0x14065n },
      { op: "access", vcpu: 1, kind: "write", cpl: 0, va: 0xffff800000014008n, value: 0x1n },
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0x201000n, value: 0x1n },
      { op: "access", vcpu: 1, kind: "write", cpl: 0, va: 0xffff800000014008n, value: 0x1e7n },
      {
        op: "access",
        vcpu: 1,
        kind: "read",
        cpl: 0,
        va: 0x40205000n,
        meanwhile: { point: "P2", nth: 0, step: { op: "host", action: "merge", page: 0x219 } },
      },
      { op: "access", vcpu: 0, kind: "fetch", cpl: 0, va: 0x201000n },
    ]);
  });
  it("pages are compared when nobody can write to them any more, then merged", () => {
    replay({ era: "2010", tlb: [0xf4240, 0xf4240, 0xf4240], tdpMmu: false }, [
      { op: "flip", vcpu: 0, register: "cr0", bits: 0x80000000n },
      {
        op: "access",
        vcpu: 0,
        kind: "fetch",
        cpl: 0,
        va: 0x0n,
        meanwhile: {
          point: "P1",
          step: { op: "access", vcpu: 1, kind: "write", cpl: 0, va: 0xffff800000201000n },
        },
      },
      {
        op: "host",
        action: "collapse",
        page: 0x10,
        meanwhile: {
          point: "N2",
          step: { op: "access", vcpu: 1, kind: "write", cpl: 3, va: 0x401ff000n, value: 0x1n },
        },
      },
      {
        op: "host",
        action: "merge",
        page: 0x60,
        meanwhile: {
          point: "N1",
          step: { op: "access", vcpu: 0, kind: "write", cpl: 3, va: 0x201000n, value: 0x1n },
        },
      },
    ]);
  });
  it("a page that was aged without A bits is still known to have been written", () => {
    const access = { op: "access", vcpu: 0, kind: "write", cpl: 0, size: 8 } as const;
    replay({ mmu: "ept", mode: "5-level", backing: "file", knobs: { eptad: false } }, [
      { op: "cr3", vcpu: 0, value: 0x11000n },
      { ...access, va: 0xff40000000011008n, value: 0x214007n },
      { ...access, va: 0xff40000000214008n, value: 0x47067n },
      { op: "access", vcpu: 0, kind: "fetch", cpl: 3, va: 0x10080003ff000n, size: 8 },
      { ...access, va: 0xff40000000047000n, value: 1n },
      { op: "age", how: "clear-flush", page: 0x47, pages: 1 },
      { op: "host", action: "swap-out", page: 0x47 },
    ]);
  });
  it("a device above bit 48 has no mark of its own in EPT of 2012", () => {
    const write = { op: "access", vcpu: 0, kind: "write", cpl: 0, size: 8 } as const;
    replay({ mmu: "ept", era: "2012", hostPhysicalBits: 52, physicalBits: 52, tdpMmu: false }, [
      { ...write, va: 0xffff800000017000n, value: 0x16007n },
      { ...write, va: 0xffff800000010000n, value: 0x17067n },
      { ...write, va: 0xffff800000016000n, value: 0x8000000200267n },
      { op: "access", vcpu: 0, kind: "read", cpl: 0, va: 0x1ff000n, size: 8 },
    ]);
  });
  it("an emulator goes to the device it remembers although the fault walked new tables", () => {
    replay({ era: "2012", mode: "none", hostPhysicalBits: 0x34, tdpMmu: false }, [
      { op: "flip", vcpu: 0, register: "cr0", bits: 0x80000000n },
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0xc0010960n, value: 0x1067n },
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0xc0001800n, value: 0xd0000067n },
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0x96200000n, value: 0x1n },
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0xc0001800n, value: 0x10007n },
      { op: "access", vcpu: 0, kind: "write", cpl: 0, va: 0x96200000n, value: 0x1n },
    ]);
  });
  it("an entry that a raced write replaces was marked before, as a TLB knows it", () => {
    const write = { op: "access", vcpu: 0, kind: "write", cpl: 0 } as const;
    replay({ mmu: "npt", tlb: [0xf4240, 0xf4240], hostPhysicalBits: 0x34, tdpMmu: false }, [
      { ...write, va: 0xffff800000010008n, value: 0x1406fn },
      { ...write, va: 0xffff800000014008n, value: 0x21004fn },
      { op: "cr3", vcpu: 0, value: 0x210000n },
      { ...write, va: 0xffff800000210000n, value: 0x200003n },
      {
        ...write,
        va: 0xffff800000200008n,
        value: 0x10067n,
        meanwhile: {
          point: "P5",
          nth: 1,
          step: { op: "access", vcpu: 0, kind: "fetch", cpl: 0, va: 0x8040005000n },
        },
      },
      {
        op: "host",
        action: "swap-out",
        page: 0x210,
        meanwhile: {
          point: "N2",
          step: { ...write, cpl: 3, va: 0x8000005000n, value: 0x500fn },
        },
      },
      {
        ...write,
        va: 0x40201000n,
        value: 0x1n,
        meanwhile: {
          point: "P1",
          step: { ...write, vcpu: 1, va: 0xffff800000001000n, value: 0x10067n },
        },
      },
      { ...write, va: 0x40201000n, value: 0x1n },
    ]);
  });
});
