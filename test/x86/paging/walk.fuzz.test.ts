import assert from "node:assert/strict";
import fc from "fast-check";
import {
  ACCESS,
  CR0,
  CR4,
  EFER,
  FramePort,
  type Gpa,
  gpa,
  HardwareWalker,
  loadPdptes,
  type PagingControls,
  type PagingFeatures,
  pdpteRegisters,
  pdpteReserved,
  WalkResult,
  walk,
  walkAccess,
  walkRules,
} from "../../../src/x86";
import { type Outcome, referenceTranslate } from "./reference-walk";
import { Tables } from "./tables";

/** Memory of every case: eight frames, some of them tables by chance of what points where. */
const FRAMES = 8;

const flag = (bit: bigint, weight = 1) =>
  fc.oneof({ arbitrary: fc.constant(bit), weight }, { arbitrary: fc.constant(0n), weight: 1 });
const union = (...flags: fc.Arbitrary<bigint>[]) =>
  fc.tuple(...flags).map((bits) => bits.reduce((a, b) => a | b, 0n));

const controls: fc.Arbitrary<PagingControls> = fc
  .record({
    cr0: union(flag(CR0.PG, 30), flag(CR0.WP)).map((bits) => bits | CR0.PE),
    cr4: union(
      ...[CR4.PSE, CR4.PGE, CR4.LA57, CR4.SMEP, CR4.SMAP].map((bit) => flag(bit)),
      flag(CR4.PAE, 3),
    ),
    efer: union(flag(EFER.LMA, 2), flag(EFER.NX, 2)),
  })
  .map((c) => (c.cr4 & CR4.PAE ? c : { ...c, efer: c.efer & ~EFER.LMA }));

const features: fc.Arbitrary<PagingFeatures> = fc.record({
  physicalBits: fc.constantFrom(36, 39, 46, 52),
  gigabytePages: fc.boolean(),
  pse36: fc.boolean(),
  amd: fc.boolean(),
});

/** Mostly a usable entry of the eight frames, with one odd bit now and then. */
const entry = (wide: boolean): fc.Arbitrary<bigint> =>
  fc
    .tuple(
      fc.integer({ min: 1, max: FRAMES }),
      union(flag(1n, 12), flag(2n, 4), flag(4n, 4), flag(0x20n), flag(0x40n), flag(0x100n)),
      flag(0x80n).chain((ps) =>
        fc.oneof({ arbitrary: fc.constant(0n), weight: 3 }, fc.constant(ps)),
      ),
      fc.oneof(
        { arbitrary: fc.constant(0n), weight: 5 },
        fc.integer({ min: 0, max: wide ? 63 : 31 }).map((bit) => 1n << BigInt(bit)),
        // The low frame bits of large pages.
        fc.integer({ min: 12, max: 29 }).map((bit) => 1n << BigInt(bit)),
      ),
    )
    .map(([frame, bits, ps, odd]) => {
      // Frames of large pages are aligned most of the time; an odd bit breaks that too.
      const address = ps ? BigInt(frame) << (wide ? 30n : 22n) : BigInt(frame) << 12n;
      return address | bits | ps | odd;
    });

/** Few distinct indices, so that walks meet the entries that were written. */
const index = fc.constantFrom(0, 1, 2, 511);

const address = fc
  .tuple(fc.array(index, { minLength: 5, maxLength: 5 }), fc.integer({ min: 0, max: 4095 }))
  .map(
    ([indices, offset]) =>
      (indices.reduce((va, i) => (va << 9n) | BigInt(i), 0n) << 12n) | BigInt(offset),
  );

interface Case {
  readonly controls: PagingControls;
  readonly features: PagingFeatures;
  readonly writes: readonly (readonly [at: number, value: bigint])[];
  readonly accesses: readonly (readonly [va: bigint, access: number, ac: boolean])[];
}

const access = fc.constantFrom(
  ...[0, ACCESS.user, ACCESS.implicit].flatMap((mode) =>
    [0, ACCESS.write, ACCESS.fetch].map((kind) => mode | kind),
  ),
);

const cases: fc.Arbitrary<Case> = fc.tuple(controls, features).chain(([c, f]) => {
  const wide = (c.cr4 & CR4.PAE) !== 0n;
  const bytes = wide ? 8 : 4;
  const slot = wide ? index : fc.constantFrom(0, 1, 2, 3, 511, 512, 513, 1022, 1023);
  return fc.record({
    controls: fc.constant(c),
    features: fc.constant(f),
    writes: fc.array(
      fc
        .tuple(fc.integer({ min: 1, max: FRAMES - 1 }), slot, entry(wide))
        .map(([frame, i, value]) => [frame * 4096 + i * bytes, value] as const),
      { minLength: 12, maxLength: 36 },
    ),
    accesses: fc.array(fc.tuple(address, access, fc.boolean()), { minLength: 1, maxLength: 12 }),
  });
});

const pae = (c: PagingControls) =>
  (c.cr0 & CR0.PG) !== 0n && (c.cr4 & CR4.PAE) !== 0n && (c.efer & EFER.LMA) === 0n;

/**
 * The memory of a case, and roots for both models. The last frame is a hole that some entries point
 * to. A PDPTE loses its reserved bits, as loading it would have failed.
 */
function build({ controls: c, features: f, writes }: Case) {
  const tables = new Tables();
  for (let frame = 1; frame < FRAMES; frame++) tables.page(frame * 4096);
  for (const [at, value] of writes) tables.set(at, value, c.cr4 & CR4.PAE ? 8 : 4);
  if (!pae(c)) return { tables, root: gpa(0x1000), reference: 0x1000 };
  const reference = [0, 8, 16, 24].map((offset) => {
    const value = tables.get(0x1000 + offset) & ~pdpteReserved(f.physicalBits);
    tables.set(0x1000 + offset, value);
    return value;
  });
  const root = loadPdptes(tables, gpa(0x1000), f.physicalBits, pdpteRegisters());
  assert.ok(root);
  return { tables, root, reference };
}

const seed = Number(process.env.PENUMBRA_SEED ?? 20261121);
const runs = Number(process.env.PENUMBRA_RUNS ?? 1500);

describe(`walk against a model from the manual (PENUMBRA_SEED=${seed} PENUMBRA_RUNS=${runs})`, () => {
  it("F-001 INV-V-01 INV-V-02 gives the same frame, error code and A/D bits", () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(cases, (example) => {
        const { tables, root, reference } = build(example);
        const { controls: c, features: f } = example;
        const other = tables.copy();
        const rules = walkRules(c, f);
        const result = new WalkResult<Gpa>();
        for (const [va, kind, ac] of example.accesses) {
          walk(rules, root, va, walkAccess(kind, ac), tables, result);
          const got: Outcome =
            result.kind === "fault"
              ? { error: result.error }
              : { frame: result.frame, level: result.level, dirty: result.dirty };
          const user = (kind & ACCESS.user) !== 0;
          const expected = referenceTranslate(other, c, f, reference, va, kind, ac && !user);
          assert.deepEqual(got, expected);
          seen.add(
            `${rules.format.mode} ${"error" in got ? `error ${got.error.toString(16)}` : `level ${got.level}`}`,
          );
        }
        assert.deepEqual(tables.contents(), other.contents());
      }),
      { seed, numRuns: runs },
    );
    // The cases reach every mode, page size and kind of fault, or they prove little.
    for (const wanted of [
      ..."none level 1|32-bit level 1|32-bit level 2|PAE level 1|PAE level 2".split("|"),
      ..."4-level level 1|4-level level 2|4-level level 3|5-level level 1".split("|"),
      ..."4-level error 0|4-level error 1|4-level error 3|4-level error 9|4-level error 15".split(
        "|",
      ),
      ..."4-level error 11|4-level error 7|32-bit error 9|PAE error 9|32-bit error 7".split("|"),
      ..."5-level error d|PAE error 4|PAE error 7".split("|"),
    ])
      assert.ok(seen.has(wanted), `${wanted} was not met; met: ${[...seen].sort().join(", ")}`);
  }).timeout(10_000 + 20 * runs);

  it("what the TLB is allowed needs no other walk: same frame, no fault, no bit to set", () => {
    fc.assert(
      fc.property(cases, (example) => {
        const { tables, root } = build(example);
        const { controls: c, features: f } = example;
        const rules = walkRules(c, f);
        const memory = { buffer: new ArrayBuffer(FRAMES * 4096) };
        const map = { offsetOf: (frame: number) => (frame < FRAMES ? frame * 4096 : -1) };
        const words = new Uint32Array(memory.buffer);
        for (const [at, word] of tables.contents()) words[at >>> 2] = word;
        const walker = new HardwareWalker<Gpa>(memory, map, rules, root);
        const port = new FramePort<Gpa>(memory, map);
        for (const [va, kind, ac] of example.accesses) {
          const refill = { ...walker.refill(va, kind, ac) };
          if (refill.kind === "fault") continue;
          const before = words.slice();
          const mode = kind & (ACCESS.user | ACCESS.implicit);
          for (const [bit, again] of [
            [1, mode],
            [2, mode | ACCESS.write],
            [4, mode | ACCESS.fetch],
          ] as const) {
            if (!(refill.allow & bit)) continue;
            const out = walk(rules, root, va, walkAccess(again, ac), port, new WalkResult<Gpa>());
            assert.equal(out.kind, "translation");
            assert.equal(out.frame, Math.floor(refill.gpa / 4096));
          }
          assert.deepEqual(words, before);
          assert.ok(
            refill.allow & (kind & ACCESS.write ? 2 : kind & ACCESS.fetch ? 4 : 1),
            "its own access",
          );
        }
      }),
      { seed, numRuns: Math.ceil(runs / 3) },
    );
  }).timeout(10_000 + 20 * runs);
});
