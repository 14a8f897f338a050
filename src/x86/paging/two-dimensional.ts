import type { Gpa, Hpa } from "../address";
import { ACCESS, ALLOW, emptyRefill, type Refill } from "../cpu/board";
import { type ByteMemory, type FrameMap, FramePort } from "./frame-port";
import { allowedAccesses } from "./hardware";
import { isBadPdpte, loadPdptes, pdpteRegisters } from "./pdpte";
import { ACC, accessErrorBits, PFEC, walkAccess } from "./permission";
import { type GpaUse, SecondDimension, type SecondDimensionExit } from "./second-dimension";
import type { Entry, ExchangeOutcome, TablePort } from "./table-port";
import { type PdpteRegisters, type WalkRoot, type WalkRules, walk } from "./walk";
import { WalkResult } from "./walk-result";

/** The guest's tables as the hardware reaches them: every entry by way of the second dimension. */
class GuestTables implements TablePort<Gpa> {
  use: GpaUse = "table-read";

  constructor(
    private readonly second: SecondDimension,
    private readonly port: FramePort<Hpa>,
  ) {}

  load(at: Gpa, bytes: 4 | 8, entry: Entry): boolean {
    return this.second.translate(at, this.use) && this.port.load(this.hpaOf(at), bytes, entry);
  }
  exchange(at: Gpa, bytes: 4 | 8, expected: Entry, desired: Entry): ExchangeOutcome {
    if (!this.second.translate(at, "table-update")) return "unreadable";
    return this.port.exchange(this.hpaOf(at), bytes, expected, desired);
  }
  private hpaOf(at: Gpa): Hpa {
    return (this.second.result.frame * 4096 + (at % 4096)) as Hpa;
  }
}

/**
 * The page-miss handler of a vCPU with EPT or NPT: walks the guest's tables at `root` through the
 * second dimension, sets A/D bits in both, and says what the TLB may hold: what both dimensions
 * allow. `rules` and `root` follow the guest's control registers; their owner sets them.
 */
export class TwoDimensionalWalker {
  readonly second: SecondDimension;
  /** What the last `refill` found in the guest's tables. */
  readonly result = new WalkResult<Gpa>();
  /**
   * Where PAE paging finds its four top entries when they are memory, not registers: with nested
   * paging (APM 2 15.25.10). Undefined under EPT.
   */
  pdptesAt: Gpa | undefined;
  private readonly tables: GuestTables;
  private readonly entry: Entry = { lo: 0, hi: 0 };
  private readonly pdptes = pdpteRegisters();
  private readonly answer = emptyRefill();

  constructor(
    memory: ByteMemory,
    private readonly frames: FrameMap<Hpa>,
    second: { readonly rules: WalkRules; readonly root: Hpa },
    public rules: WalkRules,
    public root: WalkRoot<Gpa>,
    /** MAXPHYADDR of the guest. */
    private readonly physicalBits: number,
  ) {
    const port = new FramePort(memory, frames);
    this.second = new SecondDimension(port, second.rules, second.root);
    this.tables = new GuestTables(this.second, port);
  }

  /** Why the last call exited. */
  get exit(): SecondDimensionExit {
    return this.second.exit;
  }

  /** The answer, the same object each time; undefined when the second dimension made the vCPU exit. */
  refill(va: bigint, access: number, ac: boolean): Refill | undefined {
    const { answer, result, second } = this;
    second.exited = false;
    const kind = walkAccess(access, ac);
    const root = this.rootFor(va);
    if (second.exited) return undefined;
    if (root === undefined) {
      answer.kind = "fault";
      answer.error = PFEC.present | PFEC.reserved | accessErrorBits(kind, this.rules.fetchReported);
      return answer;
    }
    walk(this.rules, root, va, kind, this.tables, result);
    if (second.exited) return undefined;
    answer.level = result.level;
    if (result.kind === "fault") {
      answer.kind = "fault";
      answer.error = result.error;
      return answer;
    }
    answer.gpa = result.frame * 4096 + (result.vaLo & 0xfff);
    if (!second.translate(answer.gpa as Gpa, useOf(access))) return undefined;
    answer.offset = this.frames.offsetOf(second.result.frame);
    answer.kind = answer.offset < 0 ? "device" : "ram";
    answer.global = result.global;
    answer.allow =
      allowedAccesses(this.rules, result, access, ac) & allowedBelow(second.result.access);
    return answer;
  }

  /**
   * MOV to CR with PAE paging: reads the four PDPTEs at `table` into `into` (SDM 3A 4.4.1). `refused`
   * when one has a reserved bit set; undefined when the second dimension made the vCPU exit.
   */
  loadPdptes(table: Gpa, into: PdpteRegisters): "loaded" | "refused" | undefined {
    const { tables, second } = this;
    second.exited = false;
    tables.use = "pdpte-load";
    const loaded = loadPdptes(tables, table, this.physicalBits, this.pdptes);
    tables.use = "table-read";
    if (second.exited) return undefined;
    if (!loaded) return "refused";
    into.set(loaded);
    return "loaded";
  }

  /** Undefined when the PDPTE in memory has a reserved bit set. */
  private rootFor(va: bigint): WalkRoot<Gpa> | undefined {
    if (this.pdptesAt === undefined || !this.rules.format.rootInRegisters) return this.root;
    const { entry, pdptes, result, tables } = this;
    result.begin(va);
    const index = result.vaLo >>> 30;
    entry.lo = entry.hi = 0;
    tables.load((this.pdptesAt + 8 * index) as Gpa, 8, entry);
    if (isBadPdpte(entry, this.physicalBits)) return undefined;
    pdptes[2 * index] = entry.lo;
    pdptes[2 * index + 1] = entry.hi;
    return pdptes;
  }
}

const useOf = (access: number): GpaUse =>
  access & ACCESS.fetch ? "fetch" : access & ACCESS.write ? "write" : "read";

/** Accesses that rights of the second dimension let through; W is withheld while a dirty flag is clear. */
const allowedBelow = (rights: number): number =>
  (rights & ACC.user ? ALLOW.read : 0) |
  (rights & ACC.write ? ALLOW.write : 0) |
  (rights & ACC.exec ? ALLOW.exec : 0);
