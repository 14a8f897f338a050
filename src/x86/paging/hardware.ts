import { ACCESS, ALLOW, emptyRefill, type Refill } from "../cpu/board";
import { type ByteMemory, type FrameMap, FramePort } from "./frame-port";
import { permissionFault, walkAccess } from "./permission";
import type { Physical } from "./table-port";
import { type WalkRoot, type WalkRules, walk } from "./walk";
import { WalkResult } from "./walk-result";

/**
 * The page-miss handler of one vCPU: walks the tables at `root` in place, sets their A/D bits and
 * says what its TLB may hold. Over guest tables it is all of `mmu: none`; over shadow tables it knows
 * nothing of who wrote them. `rules` and `root` follow the control registers; their owner sets them.
 */
export class HardwareWalker<A extends Physical> {
  private readonly port: FramePort<A>;
  /** What the last `refill` found: the path for the debugger's "last walk". */
  readonly result = new WalkResult<A>();
  private readonly answer = emptyRefill();

  constructor(
    memory: ByteMemory,
    private readonly frames: FrameMap<A>,
    public rules: WalkRules,
    public root: WalkRoot<A>,
  ) {
    this.port = new FramePort(memory, frames);
  }

  /** `access` as in `ACCESS`, `ac` is EFLAGS.AC. The same object each time. */
  refill(va: bigint, access: number, ac: boolean): Refill {
    const { answer, result } = this;
    walk(this.rules, this.root, va, walkAccess(access, ac), this.port, result);
    answer.level = result.level;
    if (result.kind === "fault") {
      answer.kind = "fault";
      answer.error = result.error;
      return answer;
    }
    answer.offset = this.frames.offsetOf(result.frame);
    answer.kind = answer.offset < 0 ? "device" : "ram";
    answer.gpa = result.frame * 4096 + (result.vaLo & 0xfff);
    answer.global = result.global;
    answer.allow = allowedAccesses(this.rules, result, access, ac);
    return answer;
  }
}

/** Accesses of the same mode that a translation under `rules` lets through without another walk. */
export function allowedAccesses<A extends Physical>(
  rules: WalkRules,
  result: WalkResult<A>,
  access: number,
  ac: boolean,
): number {
  const mode = access & (ACCESS.user | ACCESS.implicit);
  let allow = refuses(rules, result, mode, ac) ? 0 : ALLOW.read;
  // A write to a clean page must come back to set D, also where CR0.WP = 0 makes W immaterial.
  if (result.dirty && !refuses(rules, result, mode | ACCESS.write, ac)) allow |= ALLOW.write;
  if (!refuses(rules, result, mode | ACCESS.fetch, ac)) allow |= ALLOW.exec;
  return allow;
}

function refuses<A extends Physical>(
  { permissions, pkruMask, pkru }: WalkRules,
  { access: rights, pkey }: WalkResult<A>,
  access: number,
  ac: boolean,
): boolean {
  return permissionFault(permissions, pkruMask, pkru, rights, pkey, walkAccess(access, ac)) !== 0;
}
