import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { GUEST_HVA } from "../../src/host";
import {
  MANUAL_PROTECT,
  type MemoryRegion,
  OF_2010,
  OF_2012,
  profileOf,
  type Refusal,
} from "../../src/kvm";
import { gpa, hva } from "../../src/x86";
import { checked } from "./checked";
import { Guest, type GuestOptions } from "./guest";
import { MIB, region } from "./region";
import { vmWithoutVcpus } from "./without-vcpus";

/** What is asked, the errno, and words of the sentence. */
const REGIONS: readonly (readonly [string, Partial<MemoryRegion>, string, RegExp])[] = [
  ["F-163 an unknown flag", { flags: 8 }, "EINVAL", /unknown flags 0x8/],
  ["a size that is not whole pages", { memorySize: 0x1234 }, "EINVAL", /multiples of 0x1000/],
  ["an unaligned gpa", { guestPhysAddr: gpa(0x800) }, "EINVAL", /multiples of 0x1000/],
  ["an unaligned hva", { userspaceAddr: hva(0x7f0000000100) }, "EINVAL", /multiples of 0x1000/],
  [
    "F-161 an hva that is not user memory",
    { userspaceAddr: hva(2 ** 47 - 0x1000) },
    "EINVAL",
    /not all user memory/,
  ],
  ["an id beyond the limit", { slot: 32764 }, "EINVAL", /ids go to 32763/],
  ["an address space that does not exist", { slot: 2 << 16 }, "EINVAL", /address spaces to 1/],
  ["a gpa that wraps", { guestPhysAddr: gpa(2 ** 52 - 0x1000) }, "EINVAL", /52 bits/],
  [
    "more pages than one slot may have",
    { memorySize: 2 ** 31 * 4096, userspaceAddr: hva(0x1000) },
    "EINVAL",
    /more than one slot may have/,
  ],
  ["deleting what is not there", { memorySize: 0 }, "EINVAL", /does not exist/],
  [
    "F-160 an overlap",
    { guestPhysAddr: gpa(15 * MIB), memorySize: 2 * MIB },
    "EEXIST",
    /overlaps slot 0 at gpa 0x0/,
  ],
  ["F-159 a new size", { slot: 0, guestPhysAddr: gpa(0) }, "EINVAL", /cannot be resized/],
  [
    "another backing",
    { slot: 0, guestPhysAddr: gpa(0), memorySize: 16 * MIB, userspaceAddr: hva(0x1000) },
    "EINVAL",
    /is backed by hva 0x7f0000000000/,
  ],
  [
    "moving onto another slot",
    { slot: 0, guestPhysAddr: gpa(32 * MIB), memorySize: 16 * MIB },
    "EEXIST",
    /slot 0 at gpa 0x2000000 overlaps slot 2 at gpa 0x2800000/,
  ],
  [
    "another access",
    { slot: 0, guestPhysAddr: gpa(0), memorySize: 16 * MIB, flags: 2 },
    "EINVAL",
    /read-only and writable/,
  ],
];

/** A guest of 16 MiB in slot 0, with another MiB at 40 MiB in slot 2. */
function twoSlots(options: GuestOptions = checked): Guest {
  const g = new Guest(options);
  assert.equal(g.setSlot(2, 0x2800, 0x100, GUEST_HVA), "create");
  return g;
}

/** A slot of 100 pages that logs. */
function logged(options: GuestOptions = {}): Guest {
  const g = new Guest(options);
  assert.equal(g.setSlot(1, 0x4000, 100, GUEST_HVA, 1), "create");
  return g;
}
const NO_BITS = new Uint32Array(0);
const clear = (g: Guest, slot: number, firstPage: number, numPages: number): unknown =>
  g.vm.clearDirtyLog({ slot, firstPage, numPages, bitmap: NO_BITS });
const ring = (bytes: number): unknown => vmWithoutVcpus().enableDirtyRing(bytes);

type Row = readonly [what: string, ask: () => unknown, errno: Refusal["errno"], words: RegExp];

/** The other calls: what is asked, the errno of the documents, and words of the sentence. */
const CALLS: readonly Row[] = [
  [
    "a slot beyond what the second dimension can translate",
    () => new Guest({ paging: "ept" }).vm.setMemoryRegion(region({ guestPhysAddr: gpa(2 ** 46) })),
    "EINVAL",
    /goes beyond the 46 bits of a guest physical address/,
  ],
  [
    "F-163 a read-only slot before 3.7",
    () => new Guest({ profile: OF_2012 }).vm.setMemoryRegion(region({ flags: 2 })),
    "EINVAL",
    /kernels 2.6.39 to 3.6 have no read-only slots/,
  ],
  [
    "F-166 a log of a slot that keeps none",
    () => logged().vm.getDirtyLog(0),
    "ENOENT",
    /slot 0 keeps no dirty log: set its flag 1/,
  ],
  ["… of a slot that is not there", () => clear(logged(), 9, 0, 64), "ENOENT", /slot 9 keeps no/],
  [
    "… of one of KVM's own",
    () => {
      const g = logged();
      g.vm.setTssAddr(0x10000000);
      return g.vm.getDirtyLog(32764);
    },
    "EINVAL",
    /slot 32764 of address space 0 is none of the caller's: ids go to 32763/,
  ],
  [
    "… of an address space that does not exist",
    () => logged().vm.getDirtyLog(7 << 16),
    "EINVAL",
    /address space 7 is none of the caller's: .* address spaces to 1/,
  ],
  [
    "… with rings in use",
    () => new Guest({ dirtyRing: 0x1000 }).vm.getDirtyLog(0),
    "ENXIO",
    /dirty rings and no dirty bitmaps/,
  ],
  ["F-166 clearing amid a word", () => clear(logged(), 1, 32, 64), "EINVAL", /multiple of 64$/],
  ["… beyond the slot", () => clear(logged(), 1, 64, 64), "EINVAL", /has 100 pages; stay inside/],
  ["… half a word", () => clear(logged(), 1, 0, 63), "EINVAL", /or up to the slot's end/],
  [
    "… in kernels that cannot",
    () => clear(logged({ profile: OF_2010 }), 1, 0, 64),
    "ENOTTY",
    /KVM_CLEAR_DIRTY_LOG came with 5.0/,
  ],
  [
    "F-166 manual protection in kernels that have none",
    () => logged({ profile: OF_2010 }).vm.setManualProtect(MANUAL_PROTECT.enable),
    "EINVAL",
    /KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 came with 5.1/,
  ],
  [
    "unknown flags of it",
    () => logged().vm.setManualProtect(4),
    "EINVAL",
    /dirty log protect flags 4/,
  ],
  ["rings of an odd size", () => ring(0x1800), "EINVAL", /must be a power of two/],
  ["rings that are too small", () => ring(0x800), "EINVAL", /too small: 4096 is the least/],
  ["rings that are too large", () => ring(0x200000), "E2BIG", /too large: 1048576 is the most/],
  [
    "rings twice",
    () => {
      const vm = vmWithoutVcpus();
      assert.equal(vm.enableDirtyRing(0x1000), undefined);
      return vm.enableDirtyRing(0x1000);
    },
    "EINVAL",
    /has dirty rings already/,
  ],
  [
    "rings after the first vCPU",
    () => new Guest().vm.enableDirtyRing(0x1000),
    "EINVAL",
    /has vCPUs already/,
  ],
  [
    "resetting rings that are not there",
    () => new Guest().vm.resetDirtyRings(),
    "EINVAL",
    /has no dirty rings/,
  ],
  [
    "F-167 a second TSS",
    () => {
      const { vm } = new Guest();
      vm.setTssAddr(0x10000000);
      return vm.setTssAddr(0x20000000);
    },
    "EEXIST",
    /three pages already/,
  ],
  [
    "F-167 a TSS beyond 4 GB",
    () => new Guest().vm.setTssAddr(0xffffe000),
    "EINVAL",
    /does not lie below 4 GB: choose 0xffffd000 or less/,
  ],
  [
    "F-167 an identity map between two pages",
    () => vmWithoutVcpus().setIdentityMapAddr(0x10000010),
    "EINVAL",
    /the identity map at 0x10000010 is not at a page/,
  ],
  [
    "F-167 an identity map after the first vCPU",
    () => new Guest().vm.setIdentityMapAddr(0x10000000),
    "EINVAL",
    /before the first vCPU/,
  ],
  ["an era of its own", () => profileOf("1999"), "EINVAL", /era "1999" is not an era/],
];

/** Each refusal of the rooms' source: its errno, and its text with holes. */
function refusalsInSource(): { errno: string; text: string }[] {
  const files = readdirSync("src/kvm", { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => [
      ...readFileSync(`src/kvm/${file}`, "utf8").matchAll(
        /refuse\(\s*"(\w+)",\s*(?:`([^`]*)`|"([^"]*)")/g,
      ),
    ])
    .map(([, errno = "", template, plain]) => ({ errno, text: template ?? plain ?? "" }));
}

/** Whether a template, its `${…}` filled in somehow, gives the text. */
function gives(template: string, text: string): boolean {
  const parts = template.split(/\$\{[^}]*\}/);
  const escaped = parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${escaped.join(".+")}$`).test(text);
}

describe("refusals of the VM's interface", () => {
  const seen: Refusal[] = [];
  const note = (outcome: unknown, errno: string, words: RegExp): void => {
    const refusal = outcome as Refusal;
    assert.equal(refusal?.errno, errno);
    assert.match(refusal.reason, words);
    seen.push(refusal);
  };

  for (const [what, change, errno, words] of REGIONS)
    it(`KVM_SET_USER_MEMORY_REGION refuses ${what}, and changes nothing`, () => {
      const g = twoSlots();
      const before = structuredClone(g.vm.save());
      note(g.vm.setMemoryRegion(region(change)), errno, words);
      assert.deepEqual(g.vm.save(), before);
    });

  for (const [what, ask, errno, words] of CALLS) it(what, () => note(ask(), errno, words));

  it("there is no refusal without a test", () => {
    const untested = refusalsInSource().filter(
      ({ errno, text }) => !seen.some((one) => one.errno === errno && gives(text, one.reason)),
    );
    assert.deepEqual(untested, []);
    assert.ok(refusalsInSource().length > 20);
  });
});
