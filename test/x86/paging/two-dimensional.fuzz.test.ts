import assert from "node:assert/strict";
import fc from "fast-check";
import {
  ACCESS,
  ALLOW,
  CR0,
  CR4,
  EFER,
  type EptFeatures,
  eptRules,
  type Gpa,
  gpa,
  hpa,
  PageModificationLog,
  type PagingControls,
  pdpteRegisters,
  pdpteReserved,
  type Refill,
  TwoDimensionalWalker,
  type WalkRoot,
  walkRules,
} from "../../../src/x86";
import { type Outcome2d, ReferenceStage, reference2d, type Stage } from "./reference-2d";
import { features, longMode, Tables } from "./tables";

/*
 * Host frames: 0…7 and 8…15 hold the guest's eight frames twice (a large page maps the former, 4K
 * entries the latter, shuffled), 16… the tables of the second dimension: level n in frame 15 + n.
 */
const GUEST_FRAMES = 8;
const FRAMES = 24;
const tableOf = (level: number) => (15 + level) * 4096;

interface Case {
  readonly controls: PagingControls;
  readonly npt: boolean;
  readonly ept: EptFeatures;
  /** Level of the leaf of the second dimension. */
  readonly leaf: number;
  /** Guest entries. */
  readonly writes: readonly (readonly [at: number, value: bigint])[];
  /** Bits of entries of the second dimension that are other than expected. */
  readonly odd: readonly (readonly [level: number, index: number, bit: number])[];
  readonly logged: boolean;
  readonly accesses: readonly (readonly [va: bigint, access: number, ac: boolean])[];
}

const index = fc.constantFrom(0, 1, 2, 511);
const guestEntry = fc
  .tuple(
    fc.integer({ min: 1, max: GUEST_FRAMES }),
    fc.constantFrom(0x67n, 0x27n, 0x7n, 0x7n, 0x5n, 0x1n, 0n),
    fc.constantFrom(0n, 0n, 0n, 0n, 0x80n, 1n << 63n, 1n << 50n, 0x100n),
  )
  .map(([frame, bits, odd]) => (odd === 0x80n ? 0n : BigInt(frame) << 12n) | bits | odd);

const cases: fc.Arbitrary<Case> = fc.record({
  controls: fc.constantFrom(
    longMode,
    longMode,
    { ...longMode, cr4: longMode.cr4 | CR4.LA57 },
    { ...longMode, cr4: longMode.cr4 | CR4.SMEP | CR4.SMAP },
    { cr0: CR0.PE | CR0.PG, cr4: CR4.PSE, efer: 0n },
    { cr0: CR0.PE | CR0.PG | CR0.WP, cr4: CR4.PAE, efer: EFER.NX },
    { cr0: CR0.PE, cr4: 0n, efer: 0n },
  ),
  npt: fc.boolean(),
  ept: fc.record({
    physicalBits: fc.constantFrom(40, 46),
    levels: fc.constantFrom(4 as const, 5 as const),
    accessedDirty: fc.boolean(),
    executeOnly: fc.boolean(),
    megabytePages: fc.constantFrom(true, true, true, false),
    gigabytePages: fc.boolean(),
  }),
  leaf: fc.constantFrom(1, 1, 1, 2, 3),
  writes: fc.array(
    fc
      .tuple(fc.integer({ min: 1, max: GUEST_FRAMES - 1 }), index, guestEntry)
      .map(([frame, i, value]) => [frame * 4096 + i * 8, value] as const),
    { minLength: 16, maxLength: 40 },
  ),
  odd: fc.array(
    fc.tuple(
      fc.constantFrom(1, 1, 1, 1, 2, 3, 4, 5),
      fc.integer({ min: 0, max: GUEST_FRAMES - 1 }),
      fc.constantFrom(0, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14, 45, 46, 52, 63),
    ),
    { maxLength: 4 },
  ),
  logged: fc.boolean(),
  accesses: fc.array(
    fc.tuple(
      fc
        .tuple(fc.array(index, { minLength: 5, maxLength: 5 }), fc.integer({ min: 0, max: 4095 }))
        .map(
          ([is, offset]) =>
            (is.reduce((va, i) => (va << 9n) | BigInt(i), 0n) << 12n) | BigInt(offset),
        ),
      fc.constantFrom(
        ...[0, ACCESS.user, ACCESS.implicit].flatMap((mode) =>
          [0, ACCESS.write, ACCESS.fetch].map((kind) => mode | kind),
        ),
      ),
      fc.boolean(),
    ),
    { minLength: 1, maxLength: 12 },
  ),
});

const isPae = ({ cr0, cr4, efer }: PagingControls) =>
  (cr0 & CR0.PG) !== 0n && (cr4 & CR4.PAE) !== 0n && (efer & EFER.LMA) === 0n;

/** Both models' memory, the walker over bytes. */
function build(c: Case) {
  const tables = new Tables();
  for (let frame = 0; frame < FRAMES; frame++) tables.page(frame * 4096);
  const writes = c.writes.map(([at, value]) => {
    const isPdpte = isPae(c.controls) && at >>> 12 === 1 && at % 4096 < 32;
    return [at, isPdpte ? value & ~pdpteReserved(features.physicalBits) : value] as const;
  });
  const levels = c.npt ? 4 : c.ept.levels;
  const leafBits = c.npt ? 0x7n : 0x37n;
  for (let level = levels; level > 1; level--) {
    const large = level === c.leaf;
    tables.set(tableOf(level), large ? leafBits | 0x80n : BigInt(tableOf(level - 1)) | 0x7n);
    if (large) break;
  }
  const frameOf = (g: number) => (c.leaf > 1 ? g : 8 + ((g * 5) % 8));
  for (let g = 0; g < GUEST_FRAMES; g++)
    tables.set(tableOf(1) + 8 * g, (BigInt(frameOf(g)) << 12n) | leafBits);
  for (const [at, value] of writes) tables.set(frameOf(at >>> 12) * 4096 + (at % 4096), value);
  for (const [level, i, bit] of c.odd) {
    const at = tableOf(level) + (level === 1 ? 8 * i : 0);
    tables.set(at, tables.get(at) ^ (1n << BigInt(bit)));
  }

  const memory = { buffer: new ArrayBuffer(FRAMES * 4096) };
  const words = new Uint32Array(memory.buffer);
  for (const [at, word] of tables.contents()) words[at >>> 2] = word;
  const second = {
    rules: c.npt ? walkRules(longMode, features) : eptRules(c.ept),
    root: hpa(tableOf(levels)),
  };
  const map = { offsetOf: (frame: number) => (frame < FRAMES ? frame * 4096 : -1) };
  const rules = walkRules(c.controls, features);
  const pdptes = pdpteRegisters();
  const table = frameOf(1) * 4096;
  for (let i = 0; i < 8; i++) pdptes[i] = words[(table >>> 2) + i]!;
  const root: WalkRoot<Gpa> = isPae(c.controls) ? pdptes : gpa(0x1000);
  const walker = new TwoDimensionalWalker(memory, map, second, rules, root, features.physicalBits);
  if (c.npt) walker.pdptesAt = gpa(0x1000);
  const stage: Stage = c.npt
    ? { kind: "npt", root: tableOf(levels), features }
    : { kind: "ept", root: tableOf(levels), features: c.ept };
  const reference =
    isPae(c.controls) && !c.npt ? [0, 8, 16, 24].map((at) => tables.get(table + at)) : 0x1000;
  return { tables, words, walker, stage, reference };
}

function outcomeOf(walker: TwoDimensionalWalker, refill: Refill | undefined): Outcome2d {
  const { exit, result, second } = walker;
  if (!refill) {
    const { kind, gpa: at, qualification, errorCode } = exit;
    if (kind === "ept-violation") return { exit: kind, gpa: at, qualification };
    return kind === "npf" ? { exit: kind, gpa: at, errorCode } : { exit: kind, gpa: at };
  }
  if (refill.kind === "fault") return { error: refill.error };
  const { frame, level, dirty } = result;
  return { frame, level, dirty, host: second.result.frame * 4096 + (refill.gpa % 4096) };
}

/** Every word that is not zero, as `Tables.contents` has it. */
function contents(words: Uint32Array): [number, number][] {
  const found: [number, number][] = [];
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) found.push([4 * i, words[i]!]);
  return found;
}

const seed = Number(process.env.PENUMBRA_SEED ?? 20261121);
const runs = Number(process.env.PENUMBRA_RUNS ?? 1500);
/** Room in the log: few, so that it fills. */
const ROOM = 3;

describe(`two-dimensional walk against a plain model (PENUMBRA_SEED=${seed} PENUMBRA_RUNS=${runs})`, () => {
  it("F-006 gives the same host frame, guest fault, exit, A/D bits of both dimensions, and log", () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(cases, (c) => {
        const { tables, words, walker, stage, reference } = build(c);
        const logged = c.logged && !c.npt && c.ept.accessedDirty;
        const pml = new PageModificationLog();
        pml.index = ROOM - 1;
        if (logged) walker.second.log = pml;
        const log = logged ? { room: ROOM, entries: [] as number[] } : undefined;
        const model = new ReferenceStage(tables, stage, log);
        for (const [va, kind, ac] of c.accesses) {
          const got = outcomeOf(walker, walker.refill(va, kind, ac));
          const explicit = ac && !(kind & ACCESS.user);
          const expected = reference2d(
            tables,
            model,
            c.controls,
            features,
            reference,
            va,
            kind,
            explicit,
          );
          assert.deepEqual(got, expected);
          seen.add("exit" in got ? got.exit : "error" in got ? "fault" : `level ${got.level}`);
          if ("exit" in got && got.exit === "ept-violation")
            seen.add(`qualification ${got.qualification.toString(16)}`);
          if ("exit" in got && got.exit === "npf") seen.add(`npf ${got.errorCode.toString(16)}`);
        }
        assert.deepEqual(contents(words), tables.contents());
        const taken = ROOM - 1 - pml.index;
        assert.equal(taken, log?.entries.length ?? 0);
        const addresses: number[] = [];
        pml.drain((at) => addresses.push(at));
        assert.deepEqual(addresses.slice(addresses.length - taken), log?.entries ?? []);
      }),
      { seed, numRuns: runs },
    );
    // The cases reach every way out, or they prove little.
    for (const wanted of [
      ..."level 1|level 2|level 3|fault|pml-full|ept-misconfiguration".split("|"),
      ..."qualification 181|qualification 182|qualification 19c|qualification 8a".split("|"),
      ..."qualification 81|qualification 83|qualification 8b|npf 100000004".split("|"),
      ..."npf 100000006|npf 100000014|npf 10000000d|npf 200000006|npf 200000007".split("|"),
    ])
      assert.ok(seen.has(wanted), `${wanted} was not met; met: ${[...seen].sort().join(", ")}`);
  }).timeout(10_000 + 20 * runs);

  it("what the TLB is allowed needs no other walk in either dimension", () => {
    fc.assert(
      fc.property(cases, (c) => {
        const { words, walker } = build(c);
        for (const [va, kind, ac] of c.accesses) {
          const found = walker.refill(va, kind, ac);
          if (found?.kind !== "ram") continue;
          const refill = { ...found };
          const before = words.slice();
          const mode = kind & (ACCESS.user | ACCESS.implicit);
          for (const [bit, again] of [
            [ALLOW.read, mode],
            [ALLOW.write, mode | ACCESS.write],
            [ALLOW.exec, mode | ACCESS.fetch],
          ] as const) {
            if (!(refill.allow & bit)) continue;
            const other = walker.refill(va, again, ac);
            assert.equal(other?.kind, "ram");
            assert.equal(other?.offset, refill.offset);
          }
          assert.deepEqual(words, before);
        }
      }),
      { seed, numRuns: Math.ceil(runs / 3) },
    );
  }).timeout(10_000 + 20 * runs);
});
