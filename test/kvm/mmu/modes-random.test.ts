import assert from "node:assert/strict";
import {
  ACCESS,
  CR0,
  CR4,
  EFER,
  type Gpa,
  gfnOf,
  gpa,
  IN_REGISTER,
  type PagingMode,
  type PassivePort,
  pagingMode,
  pdpteTable,
  topTable,
  WalkResult,
  walk,
  walkAccess,
  walkRules,
} from "../../../src/x86";
import { Dice, Random } from "../../fuzz/random";
import { FEATURES, Guest } from "../guest";
import type { Outcome, ScriptedVcpu } from "../scripted-vcpu";

const MODES: readonly PagingMode[] = ["none", "32-bit", "PAE", "4-level", "5-level"];
/** Frames of tables and data alike. */
const POOL = Array.from({ length: 12 }, (_, i) => 16 + i);
/** Frames that only `map` writes, so that PDPTEs are mostly good. */
const POINTERS = [40, 41];
const HOLES = [0x900, 0xd0000];
const SMALL = [0, 1, 2, 3, 512, 513];

/** Addresses whose indexes are small in every format. */
function address(mode: PagingMode, dice: Dice): bigint {
  if (mode === "none") return BigInt(dice.pick(POOL)) << 12n;
  const page = BigInt(dice.pick(SMALL));
  if (mode === "32-bit") return (BigInt(dice.pick(SMALL)) << 22n) | (page << 12n);
  const low =
    ((page & 511n) << 12n) | (BigInt(dice.below(3)) << 21n) | (BigInt(dice.below(3)) << 30n);
  if (mode === "PAE") return low;
  const four = low | (BigInt(dice.below(2)) << 39n);
  return mode === "5-level" ? four | (BigInt(dice.below(2)) << 48n) : four;
}

/** One guest, walked by the plain walker before each access: what it predicts must come. */
class Run {
  readonly guest = new Guest({ pages: 0x800, mmuPages: 0x100 });
  readonly walkers: readonly ScriptedVcpu[];
  readonly writer: ScriptedVcpu;
  private readonly port: PassivePort<Gpa> = {
    load: (at, bytes, entry) => this.guest.vm.memory.readEntry(at, bytes, entry),
  };

  constructor(private readonly dice: Dice) {
    const { guest } = this;
    this.guest.log.length = 0;
    this.walkers = [guest.first, guest.addVcpu()];
    this.writer = guest.addVcpu();
    Object.assign(this.writer.cpu, { cr0: CR0.PE, cr4: 0n, efer: 0n });
    this.writer.vcpu.restored();
    for (const one of this.walkers) one.setMode("none");
  }

  private look(one: ScriptedVcpu, cpl: number, va: bigint, kind: number): WalkResult<Gpa> {
    const { cpu } = one;
    const rules = walkRules(cpu, FEATURES);
    const { format } = rules;
    const root = format.rootInRegisters ? cpu.pdptes : gpa(topTable(format.mode, cpu.cr3));
    const access = walkAccess(kind | (cpl === 3 ? ACCESS.user : 0), cpu.ac);
    return walk(rules, root, va, access, this.port, new WalkResult<Gpa>());
  }

  /** Makes an address work, level by level. */
  private map(one: ScriptedVcpu): void {
    const { dice } = this;
    const va = address(pagingMode(one.cpu), dice);
    for (let tries = 0; tries < 6; tries++) {
      const result = this.look(one, 0, va, 0);
      if (result.kind === "translation" || result.reason === "permission") return;
      const at = result.entryAt(result.level);
      if (at === IN_REGISTER) {
        const entry = pdpteTable(one.cpu.cr3) + 8 * Number((va >> 30n) & 3n);
        this.store(entry, (BigInt(dice.pick(POOL)) << 12n) | 1n, 8);
      } else {
        const { entryBytes, large } = walkRules(one.cpu, FEATURES).format;
        const huge = large[result.level] && dice.oneIn(3);
        const frame = huge ? dice.pick([0, 0x400]) : dice.pick(POOL);
        const flags = (huge ? 0x80n : 0n) | dice.pick([0x67n, 0x67n, 0x7n, 0x27n, 0x25n, 0x63n]);
        this.store(at, (BigInt(frame) << 12n) | flags, entryBytes);
      }
    }
  }
  /** By the vCPU that does not page, natively or emulated; then everybody flushes. */
  private store(at: number, value: bigint, size: 4 | 8): void {
    if (this.dice.oneIn(3)) this.writer.emulated(BigInt(at), ACCESS.write, value, size);
    else this.writer.access(0, BigInt(at), ACCESS.write, value, size);
    for (const one of this.walkers) this.flush(one);
  }

  private predict(
    one: ScriptedVcpu,
    cpl: number,
    va: bigint,
    kind: number,
  ): { outcome: string; at: number } {
    const result = this.look(one, cpl, va, kind);
    if (result.kind === "fault") return { outcome: `fault ${result.error}`, at: -1 };
    const at = result.frame * 4096 + Number(va & 0xfffn);
    return this.guest.vm.memory.isWritable(gfnOf(gpa(at)))
      ? { outcome: "ok", at }
      : { outcome: `device ${at}`, at: -1 };
  }

  access(one: ScriptedVcpu): void {
    const { dice } = this;
    const toTable = dice.oneIn(4);
    const va = address(pagingMode(one.cpu), dice) + 8n * BigInt(toTable ? dice.below(4) : 300);
    const cpl = dice.oneIn(2) ? 3 : 0;
    const kind = dice.pick([0, ACCESS.write, ACCESS.fetch]);
    const expected = this.predict(one, cpl, va, kind);
    const value = toTable ? this.entry() : dice.u64() & ~1n;
    const size = toTable && dice.oneIn(2) ? 4 : 8;
    const got = one.access(cpl, va, kind, value, size);
    assert.equal(
      text(got),
      expected.outcome,
      `${pagingMode(one.cpu)} ${kind} of ${va.toString(16)} at ${cpl}`,
    );
    if (got.kind !== "ok") return;
    const mask = size === 8 ? ~0n : 0xffffffffn;
    const now = this.guest.entryAt(expected.at);
    // Read after the access: the walk may have set A in the very entry that was read.
    if (kind !== ACCESS.write) assert.equal(got.value & mask, resident(now) & mask);
    else assert.equal(now & mask, BigInt.asUintN(64, value & mask));
    if (kind === ACCESS.write && toTable) for (const other of this.walkers) this.flush(other);
  }

  entry(): bigint {
    const { dice } = this;
    let entry = (BigInt(dice.oneIn(12) ? dice.pick(HOLES) : dice.pick(POOL)) << 12n) | 0x7n;
    if (!dice.oneIn(3)) entry |= 0x60n;
    for (const flag of [1n, 2n, 4n, 0x20n, 0x40n, 0x80n, 0x100n, 1n << 63n])
      if (dice.oneIn(9)) entry ^= flag;
    if (dice.oneIn(30)) entry |= 1n << BigInt(dice.pick([13, 17, 21, 46, 51, 52, 58, 62]));
    return dice.oneIn(15) ? 0n : entry;
  }

  /** One entry of a table, 4 or 8 bytes wide, by a vCPU that does not page; then everybody flushes. */
  write(): void {
    const { dice } = this;
    const narrow = dice.oneIn(2);
    const index = dice.pick(SMALL) + (narrow && dice.oneIn(2) ? 512 : 0);
    const at = dice.pick(POOL) * 4096 + (narrow ? 4 * (index % 1024) : 8 * (index % 512));
    let value = this.entry();
    // A page directory pointer.
    if (!narrow && dice.oneIn(3)) value = (value & ~0xfffn & 0xffffffffffn) | 1n;
    const size = narrow ? 4 : 8;
    const masked = narrow ? value & 0xffffffffn : value;
    this.store(at, masked, size);
  }
  flush(one: ScriptedVcpu): void {
    if (one.movCr3(one.cpu.cr3, false)) one.setMode("none");
  }

  switchMode(one: ScriptedVcpu): void {
    const { dice } = this;
    const mode = dice.pick(MODES);
    const cr3 = BigInt(
      mode === "PAE"
        ? dice.pick(POINTERS) * 4096 + 32 * dice.below(3)
        : dice.pick(dice.oneIn(9) ? HOLES : POOL) * 4096,
    );
    if (one.setMode(mode, cr3)) assert.equal(pagingMode(one.cpu), "none");
  }
  toggle(one: ScriptedVcpu): void {
    const { dice } = this;
    const { cpu } = one;
    switch (dice.below(7)) {
      case 0:
        one.movCr0(cpu.cr0 ^ CR0.WP);
        return;
      case 1:
        one.setEfer(cpu.efer ^ EFER.NX);
        return;
      case 2:
        cpu.ac = !cpu.ac;
        return;
      default:
        one.movCr4(cpu.cr4 ^ dice.pick([CR4.PSE, CR4.SMEP, CR4.SMAP, CR4.PGE]));
    }
  }

  step(): void {
    const { dice } = this;
    const one = dice.pick(this.walkers);
    const n = dice.below(100);
    if (n < 50) this.access(one);
    else if (n < 65) this.map(one);
    else if (n < 88) this.write();
    else if (n < 93) this.switchMode(one);
    else if (n < 97) this.toggle(one);
    else if (n < 98) this.switchMode(one);
    else one.invlpg(address(pagingMode(one.cpu), dice));
  }
  check(): void {
    const { guest } = this;
    for (const one of this.walkers) {
      one.vcpu.enter();
      assert.deepEqual(guest.vm.check(one.vcpu), []);
    }
  }
}

/** A page nobody has touched reads as zeros. */
const resident = (entry: bigint): bigint => (entry < 0n ? 0n : entry);

function text(outcome: Outcome): string {
  if (outcome.kind === "ok") return "ok";
  return outcome.kind === "fault" ? `fault ${outcome.error}` : `device ${outcome.gpa}`;
}

describe("random tables in every paging mode", () => {
  const programs = Number(process.env.MODES_PROGRAMS ?? 6);
  const first = Number(process.env.MODES_SEED ?? 1);
  for (let seed = first; seed < first + programs; seed++)
    it(`F-001 F-016 F-017 F-018 F-019 F-036 shadow paging shows what the plain walker does: seed ${seed}`, () => {
      const random = new Random(seed * 0x9e3779b1);
      const numbers = Array.from({ length: 20_011 }, () => random.u32());
      const run = new Run(new Dice(numbers));
      for (let i = 0; i < 1500; i++) {
        try {
          run.step();
          if (i % 20 === 0) run.check();
        } catch (error) {
          throw new Error(`step ${i}: ${error}`);
        }
      }
    });
});
