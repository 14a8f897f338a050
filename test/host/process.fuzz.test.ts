import assert from "node:assert/strict";
import fc from "fast-check";
import { performHostAction } from "../../src/host";
import { hpaOf } from "../../src/x86";
import { host, page } from "./host";

const seed = Number(process.env.PENUMBRA_SEED ?? 20261121);
const runs = Number(process.env.PENUMBRA_RUNS ?? 1500);

const PAGES = 8;
const step = fc.record({
  what: fc.constantFrom("write", "read", "swap-out", "migrate", "unmap", "map", "take", "restore"),
  k: fc.nat(PAGES - 1),
  value: fc.integer({ min: 1, max: 0xffff }),
});

describe(`the host process against a model (PENUMBRA_SEED=${seed} PENUMBRA_RUNS=${runs})`, () => {
  it("F-007 whatever the host does, a page keeps its bytes and its own frame", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        // Fewer frames than pages: allocation fails too.
        const machine = host({ low: 1, guest: 6, mmu: 1 });
        const { process: owner, memory, trace } = machine;
        /** What each mapped page holds. */
        const model = new Map<number, bigint>(Array.from({ length: PAGES }, (_, k) => [k, 0n]));
        let taken = 0;
        for (const { what, k, value } of steps) {
          switch (what) {
            case "write":
            case "read": {
              const found = owner.faultIn(page(k), what === "write");
              if (!model.has(k)) assert.equal(found.kind, "no-mapping");
              if (found.kind !== "page") break;
              assert.equal(memory.tables.read64(hpaOf(found.pfn, 8)), model.get(k));
              if (what === "read") break;
              memory.tables.store64(hpaOf(found.pfn, 8), value, 0);
              model.set(k, BigInt(value));
              break;
            }
            case "swap-out":
            case "migrate": {
              const resident = owner.translate(page(k)) !== undefined;
              const { kind } = performHostAction(owner, trace, what, page(k));
              if (!resident || what === "swap-out")
                assert.equal(kind, resident ? "done" : "refused");
              break;
            }
            case "unmap":
              owner.munmap(page(k), 4096);
              model.delete(k);
              break;
            case "map": {
              const { kind } = owner.mmap(page(k), 4096, { kind: "anonymous", writable: true });
              assert.equal(kind, model.has(k) ? "refused" : "mapped");
              if (kind === "mapped") model.set(k, 0n);
              break;
            }
            case "take":
              if (taken < 2 && memory.allocate("guest") !== undefined) taken++;
              break;
            case "restore": {
              const saved = { memory: memory.save(), process: owner.save() };
              memory.restore(saved.memory);
              owner.restore(saved.process);
              assert.deepEqual({ memory: memory.save(), process: owner.save() }, saved);
            }
          }
          const frames = [...Array(PAGES).keys()].flatMap((i) => owner.translate(page(i)) ?? []);
          assert.equal(new Set(frames).size, frames.length, "no two pages share a frame");
          assert.equal(memory.zones.guest.count, frames.length + taken);
          for (const frame of frames) {
            const at = owner.hvaOf(frame);
            assert.ok(at !== undefined && owner.translate(at) === frame);
          }
        }
        const starts = machine.heard.filter((text) => text.includes(" start "));
        const ends = machine.heard.filter((text) => text.includes(" end "));
        assert.equal(starts.length, ends.length);
      }),
      { seed, numRuns: runs },
    );
  }).timeout(10_000 + 20 * runs);
});
