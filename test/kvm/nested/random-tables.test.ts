import assert from "node:assert/strict";
import { performHostAction } from "../../../src/host";
import { CR0, CR4, EFER, gfn } from "../../../src/x86";
import { Random } from "../../fuzz/random";
import { checked } from "../checked";
import type { Outcome } from "../scripted-vcpu";
import { type L2Entry, NestedGuest } from "./nested-guest";
import { type Access, type PlainFormat, plainWalk } from "./plain-nested";

const long = { levels: 4, bytes: 8, ept: false, accessed: 0x20n, dirty: 0x40n } as const;
const ept = { levels: 4, bytes: 8, ept: true } as const;
const HCR0 = CR0.PE | CR0.PG | CR0.WP;

interface Setting {
  readonly format: PlainFormat;
  readonly paging: "npt" | "ept";
  /** How L2 is entered over the tables at `root`. */
  readonly entry: (root: number) => L2Entry;
}

const SETTINGS: readonly Setting[] = [
  {
    format: { name: "NPT, 4 levels", ...long },
    paging: "npt",
    entry: (ncr3) => ({ ncr3 }),
  },
  {
    format: { name: "NPT, PAE", ...long, levels: 3 },
    paging: "npt",
    entry: (ncr3) => ({ ncr3, hcr0: HCR0, hcr4: CR4.PAE, l1Efer: EFER.NX }),
  },
  {
    format: { name: "NPT, 32-bit", ...long, levels: 2, bytes: 4 },
    paging: "npt",
    entry: (ncr3) => ({ ncr3, hcr0: HCR0, hcr4: CR4.PSE, l1Efer: EFER.NX }),
  },
  {
    format: { name: "EPT with A/D", ...ept, accessed: 0x100n, dirty: 0x200n },
    paging: "ept",
    entry: (root) => ({ eptp: BigInt(root) | 0x5en }),
  },
  {
    format: { name: "EPT without A/D", ...ept, accessed: 0n, dirty: 0n },
    paging: "ept",
    entry: (root) => ({ eptp: BigInt(root) | 0x1en }),
  },
];

/** Frames of tables: any may be linked at any level, itself included. */
const TABLES = [0x20, 0x21, 0x22, 0x23, 0x24, 0x25];
const DATA = [0x100, 0x101, 0x102, 0x600, 0xd0000];
const INDICES = [0, 1, 2, 5];
const MEMORY_END = 0x1000000;
const STEPS = 120;
const SEEDS = 2;

class Campaign {
  private readonly random: Random;
  private readonly g: NestedGuest;
  private inL2 = false;
  /** L1's memory as it must be: words that are not 0. */
  private readonly memory = new Map<number, bigint>();
  private root = TABLES[0]! * 4096;

  constructor(
    private readonly setting: Setting,
    seed: number,
    tdpMmu: boolean,
  ) {
    this.random = new Random(seed);
    const thp = this.random.oneIn(2);
    this.g = new NestedGuest({
      ...checked,
      paging: setting.paging,
      tdpMmu,
      backing: { kind: "anonymous", writable: true, thp },
    });
    for (const frame of TABLES)
      for (const index of INDICES) {
        const value = this.randomWord(TABLES.indexOf(frame) < 2);
        this.g.entry(frame * 4096 + 8 * index, value);
        this.memory.set(frame * 4096 + 8 * index, value);
      }
  }

  run(): void {
    for (let step = 0; step < STEPS; step++) {
      const roll = this.random.below(10);
      if (roll < 6) this.access();
      else if (roll < 8) this.change();
      else if (roll < 9) this.host();
      else this.otherRoot();
    }
  }

  /** L2 reads, writes or executes, and everything about it is as on the plain walk. */
  private access(): void {
    const { g, random, setting } = this;
    const { format, entry } = setting;
    if (!this.inL2) g.enterL2({ ...entry(this.root), flush: true });
    this.inL2 = true;
    const ngpa = this.ngpa();
    const access: Access = random.pick(["read", "write", "fetch"]);
    const value = this.randomWord(false);
    const wanted = plainWalk(format, this.root, ngpa, access, (at, bytes) => this.word(at, bytes));
    if (wanted.kind === "gpa") {
      for (const [at, entryNow] of wanted.stores) this.store(at, entryNow, format.bytes);
      if (access === "write" && wanted.gpa < MEMORY_END) this.store(wanted.gpa, value, 8);
    }
    const got =
      access === "read"
        ? g.read(0, ngpa)
        : access === "write"
          ? g.write(0, ngpa, value)
          : g.fetch(0, ngpa);
    const said = `${format.name}, ${access} of ngpa ${ngpa.toString(16)}`;
    this.compare(got, wanted, said);
    for (const [at, word] of this.memory) {
      const now = g.entryAt(at);
      // Swapped out: it is looked at when it is used.
      if (now !== -1n)
        assert.equal(now.toString(16), word.toString(16), `${said}: ${at.toString(16)}`);
    }
    // What L2 has done to the tables that translate it counts when it is flushed.
    const toTable = wanted.kind === "gpa" && TABLES.includes(Math.floor(wanted.gpa / 4096));
    if (got.kind === "nested-exit" || (access === "write" && toTable)) this.leave();
  }

  private compare(got: Outcome, wanted: ReturnType<typeof plainWalk>, said: string): void {
    if (wanted.kind === "refused") {
      assert.equal(got.kind, "nested-exit", said);
      const exit = got.kind === "nested-exit" ? got.exit : undefined;
      if (exit?.kind === "npf") assert.equal(exit.exitInfo1, 0x100000000 + wanted.error, said);
      else if (exit?.kind === "ept") {
        const reserved = (wanted.error & 8) !== 0;
        assert.equal(exit.exitReason, reserved ? 49 : 48, said);
        if (!reserved)
          assert.equal((exit.exitQualification >> 3) & 7, eptBits(wanted.rights), said);
      }
    } else if (wanted.gpa >= MEMORY_END) assert.deepEqual(got, { kind: "device", gpa: wanted.gpa });
    else {
      assert.equal(got.kind, "ok", said);
      const value = got.kind === "ok" ? got.value : undefined;
      if (!said.includes("fetch")) assert.equal(value, this.word(wanted.gpa, 8), said);
    }
  }

  private leave(): void {
    if (this.inL2) this.g.leaveL2();
    this.inL2 = false;
    if (this.setting.paging === "ept") this.g.vcpu.invept();
  }

  /** L1 changes an entry, by an instruction of its own or one that is emulated for another reason. */
  private change(): void {
    this.leave();
    const at = this.random.pick(TABLES) * 4096 + 8 * this.random.pick(INDICES);
    const value = this.randomWord(false);
    this.store(at, value, 8);
    if (this.random.oneIn(4)) this.g.emulatedStore(at, value);
    else this.g.write(0, at, value);
  }

  private host(): void {
    const { g, random } = this;
    const frame = random.pick([...TABLES, ...DATA.slice(0, 4)]);
    const action = random.pick(["swap-out", "migrate", "age"] as const);
    performHostAction(g.process, g.trace, action, g.vm.slots[0]!.hvaOf(gfn(frame)));
    g.stepped(`${action} of gfn ${frame.toString(16)}`);
  }

  private otherRoot(): void {
    this.leave();
    this.root = this.random.pick(TABLES.slice(0, 2)) * 4096;
  }

  private ngpa(): number {
    const { random } = this;
    const { levels, bytes } = this.setting.format;
    const place = (unit: number, most: number): number =>
      unit * random.pick(INDICES.filter((i) => i <= most));
    const below = bytes === 4 ? place(2 ** 22, 5) : place(2 ** 21, 5);
    const top = levels === 2 ? 0 : place(2 ** 30, 2);
    return top + below + place(4096, 5) + 8 * random.below(8);
  }

  /** A pointer to a table or to data, or something near one. */
  private randomWord(pointer: boolean): bigint {
    const { random, setting } = this;
    const { format } = setting;
    if (random.oneIn(12)) return 0n;
    if (format.bytes === 4)
      return BigInt(this.randomEntry(pointer)) | (BigInt(this.randomEntry(pointer)) << 32n);
    let entry = this.randomEntry(pointer);
    if (format.levels !== 2 && random.oneIn(30)) entry |= 1n << 50n;
    if (!format.ept && random.oneIn(8)) entry |= 1n << 63n;
    return entry;
  }

  private randomEntry(pointer: boolean): bigint {
    const { random, setting } = this;
    const { ept: isEpt, bytes } = setting.format;
    const toTable = pointer || random.oneIn(2);
    const frame = BigInt(random.pick(toTable ? TABLES : DATA));
    const large = !toTable && random.oneIn(5);
    let entry = (large ? 0x600n : frame) << 12n;
    const rights = random.oneIn(3) ? BigInt(random.below(8)) : 7n;
    entry |= rights | (large ? 0x80n : 0n);
    if (isEpt) entry |= (toTable ? 0n : 0x30n) | (random.oneIn(2) ? 0x300n : 0n);
    else entry |= BigInt(random.below(4)) << 5n;
    return bytes === 4 ? entry & 0xffffffffn : entry;
  }

  private word(at: number, bytes: 4 | 8): bigint {
    if (at >= MEMORY_END) return 0n;
    const word = this.memory.get(at - (at % 8)) ?? 0n;
    return bytes === 8 ? word : (word >> BigInt(8 * (at % 8))) & 0xffffffffn;
  }

  private store(at: number, value: bigint, bytes: 4 | 8): void {
    const shift = BigInt(8 * (at % 8));
    const field = bytes === 8 ? 0xffffffffffffffffn : 0xffffffffn << shift;
    const old = this.memory.get(at - (at % 8)) ?? 0n;
    this.memory.set(at - (at % 8), (old & ~field) | ((value << shift) & field));
  }
}

/** R, W and X as an EPT entry has them. */
const eptBits = (rights: number): number => (rights >> 2) | (rights & 2) | ((rights & 1) << 2);

describe("random second dimensions of L1's, against a plain walk", function () {
  this.timeout(120_000);
  for (const setting of SETTINGS)
    for (const tdpMmu of [true, false])
      it(`F-035 INV-X-02 ${setting.format.name}, ${tdpMmu ? "TDP MMU" : "shadow pages"} for L1`, () => {
        for (let seed = 1; seed <= SEEDS; seed++) new Campaign(setting, 7919 * seed, tdpMmu).run();
      });
});
