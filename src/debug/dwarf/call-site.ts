import { AT, TAG } from "./codes";
import type { DebugInfo, FunctionEntry } from "./debug-info";
import type { Entry } from "./entry";
import { evaluateLocation, type FrameContext } from "./location-expression";

/**
 * What a register held when `callee` was entered, by what `caller` says of its call (DWARF 5, 3.4).
 * `frame` is the caller's, standing behind the call. Only calls that name their target count: behind
 * any other, a tail call may have changed the registers since.
 */
export function valueAtEntry(
  info: DebugInfo,
  caller: FunctionEntry,
  callee: FunctionEntry,
  frame: FrameContext,
  register: number,
): bigint | undefined {
  const site = callSiteAt(caller.entry, frame.pc);
  if (!site || !isCallOf(info, site, callee.entry)) return undefined;
  for (const parameter of site.children) {
    const location = parameter.attributes.get(AT.location);
    const value =
      parameter.attributes.get(AT.callValue) ?? parameter.attributes.get(AT.gnuCallSiteValue);
    const isRegister = location?.class === "block" && location.value.length === 1;
    if (!isRegister || location.value[0] !== 0x50 + register || value?.class !== "block") continue;
    const found = evaluateLocation(value.value, parameter, frame);
    // A call value is a number, although its expression need not say so.
    if (found.kind === "value") return found.value;
    return found.kind === "memory" ? found.address : undefined;
  }
  return undefined;
}

function callSiteAt(scope: Entry, returnPc: bigint): Entry | undefined {
  for (const child of scope.children) {
    const isSite = child.tag === TAG.callSite || child.tag === TAG.gnuCallSite;
    const after = child.address(child.tag === TAG.callSite ? AT.callReturnPc : AT.lowPc);
    if (isSite && after === returnPc) return child;
    const inner = callSiteAt(child, returnPc);
    if (inner) return inner;
  }
  return undefined;
}

function isCallOf(info: DebugInfo, site: Entry, callee: Entry): boolean {
  const target = info.target(site, AT.callOrigin) ?? info.target(site, AT.abstractOrigin);
  if (!target) return false;
  const origins = [
    callee,
    info.target(callee, AT.abstractOrigin),
    info.target(callee, AT.specification),
  ];
  // A call to another unit names that unit's declaration: only the name is the same.
  const declared = target.flag(AT.declaration) && info.nameOf(target) === info.nameOf(callee);
  return declared || origins.includes(target);
}
