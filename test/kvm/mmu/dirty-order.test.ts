import assert from "node:assert/strict";
import { GUEST_HVA } from "../../../src/host";
import { MANUAL_PROTECT } from "../../../src/kvm";
import { checked } from "../checked";
import { Guest, type GuestOptions } from "../guest";
import type { ScriptedVcpu } from "../scripted-vcpu";
import { Copy, setBits } from "./dirty-oracle";

/** Data pages, two in one word of the log and one in another. */
const DATA = [0x9, 0xa, 0x90];
const va = (page: number): number => 0x200000 + page * 0x1000;

/** Two vCPUs over the same tables; what slot 0 holds is logged, and `DATA` mapped writable by both. */
function twoVcpus(options: GuestOptions): { g: Guest; other: ScriptedVcpu } {
  const g = new Guest({ ...checked, ...options, pages: 0x100 });
  g.entry(0x1000, 0x2067).entry(0x2000, 0x3067).entry(0x3008, 0x4067);
  for (const page of DATA) g.entry(0x4000 + 8 * page, page * 0x1000 + 0x67);
  const other = g.addVcpu();
  g.enter();
  other.vcpu.enter();
  assert.equal(g.setSlot(0, 0, 0x100, GUEST_HVA, 1), "flags");
  return { g, other };
}

/** A write that takes no exit, or none at all: mmu_lock is held by the one who reads the log. */
function writeNatively(vcpu: ScriptedVcpu, page: number, value: number): boolean {
  const hit = vcpu.cpu.tlb.get(vcpu.cpu.key(BigInt(va(page))));
  if (!hit || (hit.allow & 2) === 0) return false;
  vcpu.access(0, BigInt(va(page)), 2, BigInt(value));
  return true;
}

const POINTS = ["D1", "D2", "D3"] as const;
const ENGINES: readonly (readonly [string, GuestOptions])[] = [
  ["shadow", {}],
  ...[true, false].flatMap((tdpMmu): [string, GuestOptions][] => {
    const ept = { paging: "ept", tdpMmu } as const;
    const engine = tdpMmu ? "TDP MMU" : "shadow pages";
    return [
      [`ept with PML, ${engine}`, ept],
      [`ept without PML, ${engine}`, { ...ept, knobs: { pml: false } }],
      [`ept without A/D bits, ${engine}`, { ...ept, knobs: { eptad: false } }],
      [`npt, ${engine}`, { paging: "npt", tdpMmu }],
    ];
  }),
];

describe("a dirty log is read while another vCPU writes", () => {
  for (const [name, options] of ENGINES)
    for (const manual of [false, true])
      it(`F-191 INV-D-01 ${name}, ${manual ? "cleared by hand" : "taken"}: no write at D1, D2 or D3 is lost`, () => {
        const { g, other } = twoVcpus(options);
        if (manual) g.vm.setManualProtect(MANUAL_PROTECT.enable);
        const copy = new Copy(g);
        let value = 1;
        /** What userspace does in one round: the bits first, then the pages. */
        const round = (): number[] => {
          const bitmap = g.vm.getDirtyLog(0);
          assert.ok(bitmap instanceof Uint32Array);
          const clear = () =>
            g.vm.clearDirtyLog({ slot: 0, firstPage: 0, numPages: 0x100, bitmap });
          if (manual) assert.equal(clear(), undefined);
          return copy.take(setBits(bitmap));
        };
        round();
        const wrote: Record<string, number> = { D1: 0, D2: 0, D3: 0 };
        g.trace.on("point", ({ fields }) => {
          const point = String(fields.point);
          if (!POINTS.includes(point as never)) return;
          for (const page of DATA) {
            if (!writeNatively(other, page, value)) continue;
            value++;
            wrote[point]!++;
          }
        });
        for (let n = 0; n < 6; n++) {
          for (const page of DATA) {
            g.write(0, va(page), value++);
            other.access(0, BigInt(va(page)) + 8n, 2, BigInt(value++));
          }
          round();
          g.stepped("round");
          // Whatever was not in these bits is in the next, or was written before they were out.
          for (const page of copy.different())
            assert.ok(g.vm.slots[0]!.isDirty(page as never), `page ${page} is lost`);
        }
        round();
        assert.deepEqual(copy.different(), []);
        assert.ok(wrote.D1! > 0 && wrote.D2! > 0, "the other vCPU did write in between");
        assert.equal(wrote.D3, 0, "after the flush it needs an exit");
      });
});
