import {
  ACCESS,
  type Entry,
  type ExchangeOutcome,
  type Gpa,
  gpa,
  NPF,
  type TablePort,
} from "../../x86";
import type { MmuContext } from "../mmu/context";
import type { MmuState } from "../mmu/state";
import { walkGuest } from "../mmu/walk-guest";
import type { RefusedNgpa } from "./nested-exit";

const TABLE_UPDATE = ACCESS.user | ACCESS.write;

/**
 * L2's tables as KVM's walker reads them: each entry is at an ngpa, which L1's tables translate first
 * (kvm_translate_gpa). Those walks are user accesses, and writes, as they may set A and D (APM 2 15.25.5);
 * with EPT they are writes where it has A/D flags, and else only when a bit is set (SDM 3C 28.3.3.2).
 */
export class NestedTables implements TablePort<Gpa> {
  /** Set by the access that L1's tables refused; the walk is over then. */
  refused: RefusedNgpa | undefined;
  private readonly known = new Map<Gpa, Gpa>();
  private readonly isEpt: boolean;
  private readonly tableAccess: number;

  constructor(
    private readonly state: MmuState,
    private readonly context: MmuContext,
  ) {
    const { format } = context.mode.guestRules;
    this.isEpt = format.ept;
    this.tableAccess = format.dirty === 0 ? ACCESS.user : TABLE_UPDATE;
  }

  /** The page that L2's tables lead to. */
  translatePage(ngpa: Gpa, access: number): Gpa | undefined {
    // In accesses to EPT U stands for read, which a fetch is not; to NPT all are a user's.
    const other = this.isEpt && (access & (ACCESS.write | ACCESS.fetch)) !== 0;
    return this.translate(ngpa, other ? access & ~ACCESS.user : access | ACCESS.user, NPF.final);
  }

  load(at: Gpa, bytes: 4 | 8, entry: Entry): boolean {
    const place = this.translate(at, this.tableAccess, NPF.guestTable);
    if (place === undefined) return false;
    this.known.set(at, place);
    return this.state.guestTables.load(place, bytes, entry);
  }

  exchange(at: Gpa, bytes: 4 | 8, expected: Entry, desired: Entry): ExchangeOutcome {
    const written = (this.tableAccess & ACCESS.write) !== 0;
    const place = written ? this.known.get(at) : this.translate(at, TABLE_UPDATE, NPF.guestTable);
    if (place === undefined) return "unreadable";
    return this.state.guestTables.exchange(place, bytes, expected, desired);
  }

  /** gpa behind an ngpa, A and D of L1's entries set as for this access; undefined with `refused` set. */
  private translate(ngpa: Gpa, access: number, place: number): Gpa | undefined {
    const walk = walkGuest(this.state, this.context, BigInt(ngpa), access);
    if (walk.kind === "translation") return gpa(walk.frame * 4096 + (ngpa % 4096));
    this.refused = { ngpa: BigInt(ngpa), error: walk.error, rights: walk.access, place };
    return undefined;
  }
}
