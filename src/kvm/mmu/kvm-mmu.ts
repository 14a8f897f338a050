import type { Hpa, WalkRules } from "../../x86";
import type { CpuRole } from "./cpu-role";
import type { RoleWord } from "./role";
import { NO_ROOT, type Root } from "./root";
import type { Sptep } from "./spte";

/** KVM_MMU_NUM_PREV_ROOTS. */
export const PREV_ROOTS = 3;

/** What registers mean for an MMU; made anew when one that counts changes. */
export interface MmuMode {
  readonly cpuRole: CpuRole;
  readonly rootRole: RoleWord;
  /** See `gpteExt`. */
  readonly gpteExt: number;
  /** How the tables that are shadowed, or that the hardware walks first, are walked. */
  readonly guestRules: WalkRules;
  /** How the hardware walks the shadow tables: CR0.WP = 1 and EFER.NX = 1 whatever the guest says. */
  readonly hardwareRules: WalkRules;
}

/** `kvm_mmu`: the roots of one translation and what they are built by. A vCPU has one, or two when it has nested guests. */
export class KvmMmu {
  root: Root = NO_ROOT;
  /** Most recently used first. */
  readonly prevRoots: Root[] = new Array(PREV_ROOTS).fill(NO_ROOT);

  constructor(
    public mode: MmuMode,
    /** First of the four words of `pae_root`, a frame below 4 GiB; absent until a root needs one. */
    public paeRoot: Sptep | undefined,
    /** The longer root that leads to `paeRoot`: see `allocateSpecialRoots`. */
    public specialRoot?: Hpa,
  ) {}

  /** Every root slot, the current one first. */
  get roots(): readonly Root[] {
    return [this.root, ...this.prevRoots];
  }
}
