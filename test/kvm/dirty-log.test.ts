import assert from "node:assert/strict";
import { GUEST_HVA } from "../../src/host";
import { checked } from "./checked";
import { Guest } from "./guest";
import { dirtyPages } from "./mmu/dirty-oracle";
import { sp, touchedGuest } from "./tables";

const logging = (): Guest => {
  const g = touchedGuest(checked);
  assert.equal(g.setSlot(0, 0, 0x1000, GUEST_HVA, 1), "flags");
  return g;
};
/** The first 64 bits of the log of slot 0, which is thereby cleared. */
const take = (g: Guest): number => {
  const log = g.vm.getDirtyLog(0);
  assert.ok(log instanceof Uint32Array);
  return log[0]!;
};

describe("golden trace G13d: the dirty log", () => {
  it("F-008 F-096 F-166 a logged write faults once between two takes", () => {
    const g = logging();
    assert.equal(g.vm.generation, 4n);
    assert.equal(g.spte(sp(3, 5)), 0x100009e65n);
    g.log.length = 0;
    g.write(3, 0x5000, 1);
    assert.equal(g.log.find((e) => e.name === "kvm_page_fault")?.fields.error_code, 7);
    assert.equal(g.spte(sp(3, 5)), 0x100009e67n);
    g.write(3, 0x5008, 1);
    assert.equal(take(g), 0x200);
    assert.equal(g.spte(sp(3, 5)), 0x100009e65n);
    assert.equal(take(g), 0);
  });

  it("F-008 A/D updates and emulated stores of the guest are logged as well", () => {
    const g = logging().entry(0x4038, 0x3067).entry(0x4040, 0xb007);
    take(g);
    g.read(0, 0x8000);
    assert.equal(take(g), 1 << 4, "the walker set A in the page table");
    g.write(0, 0x7008, 0x5067);
    assert.equal(take(g) & (1 << 3), 1 << 3);
  });

  it("F-009 repeated takes report only what was written since", () => {
    const g = logging();
    for (const page of [0xb, 0xc, 0xd]) g.entry(0x4000 + 8 * page, page * 0x1000 + 0x67);
    take(g);
    for (const page of [0xb, 0xd]) g.write(3, page * 0x1000, 1);
    assert.equal(take(g), 0x2800);
    g.write(3, 0xc000, 1);
    assert.equal(take(g), 0x1000);
  });

  it("F-111 a prefetch maps no logged page for writing", () => {
    const g = logging().entry(0x4030, 0xb067);
    g.entry(0xb000, 1);
    take(g);
    g.invlpg(0x5000);
    g.read(3, 0x5000);
    assert.equal(take(g) & 0x800, 0);
  });

  it("a slot that keeps no log refuses", () => {
    const outcome = touchedGuest().vm.getDirtyLog(0);
    assert.ok(!(outcome instanceof Uint32Array));
    assert.match(outcome.reason, /keeps no dirty log/);
  });

  it("F-009 F-008 a framebuffer of 3 MiB is logged frame by frame: what was drawn, and nothing else", () => {
    const [base, pages] = [0x800, 768];
    const va = (page: number): number => 0x200000 + page * 0x1000;
    const g = new Guest({ pages: 0x1000 });
    g.entry(0x1000, 0x2067).entry(0x2000, 0x3067);
    for (const [i, table] of [0x4000, 0x5000].entries()) g.entry(0x3008 + 8 * i, table + 0x67);
    for (let i = 0; i < pages; i++) g.entry(0x4000 + 8 * i, (base + i) * 0x1000 + 0x67);
    g.setSlot(0, 0, 0, GUEST_HVA);
    g.setSlot(0, 0, 0x800, GUEST_HVA);
    g.setSlot(1, base, pages, GUEST_HVA + base * 0x1000, 1);
    g.enter();
    for (let frame = 1; frame <= 8; frame++) {
      const drawn = Array.from({ length: pages }, (_, i) => i).filter((i) => (i * 7) % 9 === frame);
      for (const page of drawn) g.write(3, va(page), frame);
      // Reading back is no writing.
      g.read(3, va((frame * 31) % pages));
      assert.deepEqual(dirtyPages(g, 1), drawn);
    }
    assert.deepEqual(g.vm.check(g.vcpu), []);
    assert.deepEqual(dirtyPages(g, 1), []);
  });

  it("INV-D-03 what nobody may have written is not reported", () => {
    const g = logging();
    for (const page of [0xb, 0xc]) g.entry(0x4000 + 8 * page, page * 0x1000 + 0x65);
    take(g);
    g.read(3, 0xb000);
    assert.deepEqual(g.write(3, 0xc000, 1).kind, "fault");
    assert.equal(take(g), 0);
  });
});
