import type { Gpa, Hpa } from "../address";
import { type FramePort, passive } from "./frame-port";
import type { PageModificationLog } from "./page-modification-log";
import { PFEC } from "./permission";
import type { PassivePort } from "./table-port";
import { type WalkRoot, type WalkRules, type WalkSink, walkPhysical } from "./walk";
import { WalkResult } from "./walk-result";

/** What a guest-physical address is used for. */
export type GpaUse = "read" | "write" | "fetch" | "table-read" | "table-update" | "pdpte-load";

/** Why the second dimension ended a guest access; `npf` is SVM's nested page fault. */
export type SecondDimensionExitKind = "ept-violation" | "ept-misconfiguration" | "pml-full" | "npf";

/** What a VM exit tells the hypervisor. One object is used again and again. */
export interface SecondDimensionExit {
  kind: SecondDimensionExitKind;
  /** Guest-physical address of the access, with the offset in its page. */
  gpa: Gpa;
  /** Exit qualification of an EPT violation (`EPT_QUALIFICATION`), else 0. */
  qualification: number;
  /** EXITINFO1 of a nested page fault: a page-fault error code and `NPF`, else 0. May pass 2^32. */
  errorCode: number;
}

/** Bits of an EPT violation's exit qualification (SDM 3C table 27-7). */
export const EPT_QUALIFICATION = {
  read: 0x1,
  write: 0x2,
  fetch: 0x4,
  readable: 0x8,
  writable: 0x10,
  executable: 0x20,
  linearAddress: 0x80,
  final: 0x100,
} as const;

/** Bits of EXITINFO1 above 31 of a nested page fault (APM 2 15.25.6), as numbers. */
export const NPF = { final: 2 ** 32, guestTable: 2 ** 33 } as const;

type Uses = Readonly<Record<GpaUse, number>>;

/** In accesses to EPT U stands for read. */
const EPT_READ = PFEC.user;
const EPT_USES: Uses = {
  read: EPT_READ,
  write: PFEC.write,
  fetch: PFEC.fetch,
  "table-read": EPT_READ,
  "table-update": PFEC.write,
  "pdpte-load": EPT_READ,
};
/** With A/D flags a use of the guest's tables is a write, but for PDPTE loads (SDM 3C 28.3.3.2). */
const EPT_AD_USES: Uses = {
  ...EPT_USES,
  "table-read": EPT_READ | PFEC.write,
  "table-update": EPT_READ | PFEC.write,
};
/** Every access is a user access, and those to the guest's tables are writes (APM 2 15.25.5). */
const NPT_USES: Uses = {
  read: PFEC.user,
  write: PFEC.user | PFEC.write,
  fetch: PFEC.user | PFEC.fetch,
  "table-read": PFEC.user | PFEC.write,
  "table-update": PFEC.user | PFEC.write,
  "pdpte-load": PFEC.user | PFEC.write,
};

/** Linear-address bits of the qualification; uses that are not listed are accesses to guest tables. */
const PLACE: Partial<Uses> = {
  read: EPT_QUALIFICATION.linearAddress | EPT_QUALIFICATION.final,
  write: EPT_QUALIFICATION.linearAddress | EPT_QUALIFICATION.final,
  fetch: EPT_QUALIFICATION.linearAddress | EPT_QUALIFICATION.final,
  "pdpte-load": 0,
};

/** Tables with 4 levels translate 48 bits of a guest-physical address. */
const FOUR_LEVELS_END = 2 ** 48;

/**
 * The second dimension of one vCPU: guest-physical to host-physical through EPT or NPT tables
 * (SDM 3C 28.3, APM 2 15.25). `rules` and `root` are set by their owner; the kind follows from the
 * format.
 */
export class SecondDimension {
  /** The last translation. */
  readonly result = new WalkResult<Hpa>();
  /** Good while `exited`. */
  readonly exit: SecondDimensionExit = {
    kind: "npf",
    gpa: 0 as Gpa,
    qualification: 0,
    errorCode: 0,
  };
  /** Set by the access that made the vCPU exit; no other is made until the owner clears it. */
  exited = false;
  /** Without it no dirty flag is logged. Only EPT with A/D flags has one. */
  log: PageModificationLog | undefined;
  private readonly onlyLooking: PassivePort<Hpa>;
  private readonly logging: WalkSink<Hpa> = { dirty: () => this.log?.log(this.address) };
  private address = 0;

  constructor(
    private readonly port: FramePort<Hpa>,
    public rules: WalkRules,
    public root: WalkRoot<Hpa>,
  ) {
    this.onlyLooking = passive(port);
  }

  /** True with the frame in `result`, or false with the reason in `exit`. */
  translate(address: Gpa, use: GpaUse): boolean {
    const { rules, root, result, port, log } = this;
    if (this.exited) return false;
    this.address = address;
    const access = this.accessOf(use);
    if (address >= FOUR_LEVELS_END && rules.format.levels === 4) return this.beyondTables(use);
    if (log?.full && access & PFEC.write) {
      // Nothing may be set before the exit: look first whether a dirty flag would be.
      walkPhysical(rules, root, address, access, this.onlyLooking, result);
      if (result.kind === "translation" && !result.dirty) return this.leave("pml-full", 0, 0);
    }
    walkPhysical(rules, root, address, access, port, result, log && this.logging);
    return result.kind === "translation" || this.refuse(use, access);
  }

  private accessOf(use: GpaUse): number {
    const { format } = this.rules;
    if (!format.ept) return NPT_USES[use];
    return format.dirty === 0 ? EPT_USES[use] : EPT_AD_USES[use];
  }

  private beyondTables(use: GpaUse): false {
    const access = this.accessOf(use);
    this.result.access = 0;
    this.result.error = access;
    this.result.reason = "not-present";
    return this.refuse(use, access);
  }

  private refuse(use: GpaUse, access: number): false {
    const { result, rules } = this;
    if (!rules.format.ept) {
      const isFinal = use === "read" || use === "write" || use === "fetch";
      return this.leave("npf", 0, result.error + (isFinal ? NPF.final : NPF.guestTable));
    }
    if (result.reason === "reserved") return this.leave("ept-misconfiguration", 0, 0);
    const asked =
      (access & EPT_READ ? EPT_QUALIFICATION.read : 0) |
      (access & PFEC.write ? EPT_QUALIFICATION.write : 0) |
      (access & PFEC.fetch ? EPT_QUALIFICATION.fetch : 0);
    const place = PLACE[use] ?? EPT_QUALIFICATION.linearAddress;
    return this.leave("ept-violation", asked | granted(result.access) | place, 0);
  }

  private leave(kind: SecondDimensionExitKind, qualification: number, errorCode: number): false {
    const { exit } = this;
    exit.kind = kind;
    exit.gpa = this.address as Gpa;
    exit.qualification = qualification;
    exit.errorCode = errorCode;
    this.exited = true;
    return false;
  }
}

/** ACC rights of all entries of the walk as bits 5:3 of a qualification. */
const granted = (rights: number): number =>
  (rights & 4 ? EPT_QUALIFICATION.readable : 0) |
  (rights & 2 ? EPT_QUALIFICATION.writable : 0) |
  (rights & 1 ? EPT_QUALIFICATION.executable : 0);
