import { CR0, FLAG, S, SEG } from "../layout";
import type { CpuState } from "../state";
import { Attempt } from "./attempt";
import type { FaultResult, SysResult, SystemContext } from "./context";
import {
  type Descriptor,
  descriptorAddress,
  dplOf,
  isPresent,
  isSystem,
  parseDescriptor,
  readDescriptor,
  SYSTEM,
  toSegment,
  typeOf,
} from "./descriptor";
import { loadTaskSegments, pushTaskError } from "./task-segments";
import {
  dropLocalBreakpoints,
  readTask,
  type TaskImage,
  type TssLayout,
  tssLayout,
  writeTask,
} from "./tss";
import { isNull, selectorError, VECTOR } from "./vectors";

/** How a task is left, which decides busy bits, link and NT (SDM 3A table 7-2). */
type Cause = "jump" | "call" | "event" | "return";

/** The switch that is asked for. */
export interface TaskRequest {
  readonly cause: Cause;
  /** Selector of the new task's TSS. */
  readonly selector: number;
  /** Where the old task goes on, and its flags. */
  readonly rip: bigint;
  readonly rflags: bigint;
  /** Bit 0 of error codes: the switch is not the program's own doing. */
  readonly ext: 0 | 1;
  /** Pushed on the new task's stack. */
  readonly error?: number;
}

/** A switch whose checks are passed and whose stores wait in the attempt. */
export interface PreparedTask {
  readonly request: TaskRequest;
  readonly tss: Descriptor;
  readonly layout: TssLayout;
  readonly image: TaskImage;
}

const BUSY = 0x200;
const AVAILABLE: readonly number[] = [SYSTEM.tss16, SYSTEM.tss];
const RUNNING: readonly number[] = [SYSTEM.tss16Busy, SYSTEM.tssBusy];
/** RFLAGS bits that exist. */
const DEFINED = 0x3f7fd5n;
const WORD = 0xffffn;

/**
 * Steps 1 to 10 of a task switch (SDM 3A 7.3), all in the old task: the new TSS is checked and read, the
 * old one and the busy bits are written through the attempt. A fault here leaves the old task as it was.
 */
export function prepareTask(attempt: Attempt, request: TaskRequest): PreparedTask {
  const { cause, selector, ext } = request;
  const { state } = attempt;
  const returns = cause === "return";
  const vector = returns ? VECTOR.TS : VECTOR.GP;
  const error = selectorError(selector) | ext;
  attempt.require(!isNull(selector) && (selector & 4) === 0, vector, error);
  const tss = readDescriptor(attempt, selector, vector, ext);
  attempt.require(
    isSystem(tss) && (returns ? RUNNING : AVAILABLE).includes(typeOf(tss)),
    vector,
    error,
  );
  attempt.require(isPresent(tss), VECTOR.NP, error);
  const layout = tssLayout(tss);
  attempt.require(tss.limit >= layout.limit, VECTOR.TS, error);
  const image = readTask(attempt, tss.base, layout);

  const old = state.segment(SEG.tr);
  if (cause === "jump" || returns) setBusy(attempt, descriptorAt(attempt, old.selector), false);
  const flags = returns ? request.rflags & ~FLAG.NT : request.rflags;
  writeTask(attempt, old.base, tssLayout(old), request.rip, flags);
  if (!returns) setBusy(attempt, tss, true);
  if (cause === "call" || cause === "event") attempt.writeSystem(tss.base, 2, BigInt(old.selector));
  return { request, tss, layout, image };
}

/** The descriptor that TR was loaded from, as it is now. */
function descriptorAt(attempt: Attempt, selector: number): Descriptor | undefined {
  const at = descriptorAddress(attempt, selector);
  return at === undefined ? undefined : parseDescriptor(at, attempt.readSystem(at, 8));
}

function setBusy(attempt: Attempt, d: Descriptor | undefined, busy: boolean): void {
  if (!d || attempt.fault) return;
  const high = busy ? d.high | BUSY : d.high & ~BUSY;
  attempt.writeSystem(d.at + 4n, 4, BigInt(high >>> 0));
}

/**
 * Steps 11 to 14, once the stores of `prepareTask` are made: registers, then segments with their checks,
 * then the error code. A fault here belongs to the new task, at its first instruction.
 */
export function enterTask(ctx: SystemContext, task: PreparedTask): FaultResult | undefined {
  const { state } = ctx;
  const { request, tss, layout, image } = task;
  const { cause, selector, ext } = request;
  state.setSegment(SEG.tr, toSegment(selector, { ...tss, attr: tss.attr | 2 }));
  state.cr0 |= CR0.TS;
  dropLocalBreakpoints(state);
  const nested = cause === "call" || cause === "event" ? FLAG.NT : 0n;
  state.rflags = (newFlags(state, image, layout) & DEFINED) | nested;
  state.rip = image.rip;
  for (const [n, value] of image.registers.entries()) state.setGpr(n, value);
  if (image.trap) state.setU32(S.pendingDb, state.u32(S.pendingDb) | TASK_TRAP);
  state.setU32(S.shadow, 0);
  const fault =
    loadTables(ctx, image) ??
    loadTaskSegments(ctx, image, ext) ??
    pushTaskError(ctx, layout.size, request.error);
  ctx.stateChanged();
  return fault && { kind: "fault", fault, inNewTask: true };
}

/** DR6.BT */
const TASK_TRAP = 1 << 15;

/** A 16-bit TSS has the low half of the flags. */
const newFlags = (state: CpuState, { rflags }: TaskImage, { size }: TssLayout): bigint =>
  size === 4 ? rflags : (state.rflags & ~(WORD | FLAG.VM | FLAG.RF)) | rflags;

/** A 32-bit TSS brings its own address space when paging is on. */
function loadTables(ctx: SystemContext, { cr3 }: TaskImage) {
  const { state, board } = ctx;
  if (cr3 === undefined || !state.paging) return undefined;
  const old = state.cr3;
  state.cr3 = cr3;
  const fault = board.cr3Written(old, cr3, false);
  if (fault) state.cr3 = old;
  else ctx.flushTlb(true);
  return fault;
}

/** JMP or CALL to a TSS, or to a task gate that names one (SDM 3A 7.3). `d` is what the selector names. */
export function farTask(
  attempt: Attempt,
  selector: number,
  d: Descriptor,
  cause: "jump" | "call",
): SysResult {
  const { ctx, state } = attempt;
  const error = selectorError(selector);
  attempt.require(dplOf(d) >= Math.max(state.cpl, selector & 3), VECTOR.GP, error);
  const gate = typeOf(d) === SYSTEM.taskGate;
  if (gate) attempt.require(isPresent(d), VECTOR.NP, error);
  const target = gate ? Number((attempt.readSystem(d.at, 4) >> 16n) & WORD) : selector;
  return switchTask(attempt, {
    cause,
    selector: target,
    rip: ctx.nextRip,
    rflags: state.rflags,
    ext: 0,
  });
}

/** IRET with NT set: back to the task that the running one's TSS links to. */
export function returnToTask(ctx: SystemContext): SysResult {
  const { state } = ctx;
  const attempt = new Attempt(ctx);
  const link = Number(attempt.readSystem(state.segment(SEG.tr).base, 2));
  const { rflags } = state;
  return switchTask(attempt, { cause: "return", selector: link, rip: ctx.nextRip, rflags, ext: 0 });
}

function switchTask(attempt: Attempt, request: TaskRequest): SysResult {
  const task = prepareTask(attempt, request);
  return attempt.finish(() => {
    if (request.cause === "return") attempt.state.setU32(S.nmiBlocked, 0);
    return enterTask(attempt.ctx, task) ?? { kind: "jumped" };
  });
}
