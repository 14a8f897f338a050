import { CR0, FLAG, S, SEG, type SegIndex } from "../layout";
import type { CpuState, Segment } from "../state";
import type { Attempt } from "./attempt";
import {
  dplOf,
  isCode,
  isConforming,
  isPresent,
  isReadable,
  isSystem,
  isWritableData,
  markAccessed,
  readDescriptor,
  toSegment,
} from "./descriptor";
import { isNull, selectorError, VECTOR } from "./vectors";

/** Real mode and virtual-8086 mode: selectors are paragraphs, no descriptors. */
export const usesParagraphs = (state: CpuState): boolean =>
  (state.cr0 & CR0.PE) === 0n || isV8086(state);

/** PE and EFLAGS.VM; VM is never set in long mode. */
export const isV8086 = (state: CpuState): boolean => (state.u64(S.rflags) & FLAG.VM) !== 0n;

/**
 * A segment loaded in real mode keeps its limit and size (so "unreal" mode works), in virtual-8086
 * mode it gets 64 KiB at DPL 3 (SDM 3B 20.1.1, 20.2.1).
 */
export function paragraphSegment(old: Segment, selector: number, v8086: boolean): Segment {
  const base = BigInt(selector) << 4n;
  if (v8086) return { selector, base, lo: 0, hi: 0xffff, attr: 0xf3, unusable: false };
  return { ...old, selector, base, attr: (old.attr & ~0xff) | 0x93, unusable: false };
}

/** A data segment register loaded with a null selector: any use faults outside 64-bit mode. */
export function nullSegment(selector: number, dpl = 0): Segment {
  return { selector, base: 0n, lo: 1, hi: 0, attr: dpl << 5, unusable: true };
}

/** A flat segment made by an instruction rather than by a descriptor (SYSCALL and its kin). */
export function flatSegment(selector: number, attr: number): Segment {
  return { selector, base: 0n, lo: 0, hi: 0xffffffff, attr, unusable: false };
}

/**
 * What loading `selector` into DS, ES, FS, GS or SS gives (SDM 2 MOV, "loading a segment register
 * while in protected mode"), in whatever mode the processor is. Faults go to the attempt.
 */
export function loadData(attempt: Attempt, index: SegIndex, selector: number): Segment {
  const { state } = attempt;
  if (usesParagraphs(state)) {
    return paragraphSegment(state.segment(index), selector, isV8086(state));
  }
  if (index === SEG.ss) return loadStack(attempt, selector);
  if (isNull(selector)) return nullSegment(selector);
  const error = selectorError(selector);
  const rpl = selector & 3;
  const d = readDescriptor(attempt, selector);
  attempt.require(isReadable(d), VECTOR.GP, error);
  attempt.require(isConforming(d) || Math.max(rpl, state.cpl) <= dplOf(d), VECTOR.GP, error);
  attempt.require(isPresent(d), VECTOR.NP, error);
  markAccessed(attempt, d);
  return toSegment(selector, d);
}

function loadStack(attempt: Attempt, selector: number): Segment {
  const { state } = attempt;
  const { cpl } = state;
  const rpl = selector & 3;
  if (isNull(selector)) {
    attempt.require(state.code64 && cpl !== 3 && rpl === cpl, VECTOR.GP, 0);
    return nullSegment(selector, cpl);
  }
  return checkStack(attempt, selector, cpl, { vector: VECTOR.GP, ext: 0 });
}

/**
 * A stack segment for privilege level `cpl`. Wrong selectors raise `fault.vector`: #GP for MOV, IRET
 * and RET, #TS when the selector came from the TSS. Not present is #SS always.
 */
export function checkStack(
  attempt: Attempt,
  selector: number,
  cpl: number,
  fault: { readonly vector: number; readonly ext: number },
): Segment {
  const error = selectorError(selector) | fault.ext;
  const d = readDescriptor(attempt, selector, fault.vector, fault.ext);
  attempt.require((selector & 3) === cpl, fault.vector, error);
  attempt.require(isWritableData(d) && dplOf(d) === cpl, fault.vector, error);
  attempt.require(isPresent(d), VECTOR.SS, error);
  markAccessed(attempt, d, fault.ext);
  return toSegment(selector, d);
}

/**
 * After a return to an outer level: data segments the new level may not use become null
 * (SDM 3A 5.8.6), conforming code excepted. Their bases stay, and FS and GS still use them in 64-bit
 * code.
 */
export function dropInnerSegments(state: CpuState, cpl: number): void {
  for (const index of [SEG.es, SEG.ds, SEG.fs, SEG.gs]) {
    const segment = state.segment(index);
    if (segment.unusable || isSystem(segment)) continue;
    const spared = isCode(segment) && isConforming(segment);
    if (spared || dplOf(segment) >= cpl) continue;
    state.setSegment(index, { ...nullSegment(0), base: segment.base });
  }
}
