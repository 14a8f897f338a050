import type { Machine, VcpuView } from "../machine";
import { guestWalk } from "../machine";
import { GPR, SEG } from "../x86";

const hex16 = (value: bigint): string => value.toString(16).padStart(16, "0");

/** A vCPU's registers, control registers and the walk of its rip, for a person to read: a line each. */
export function lastState(machine: Machine, vcpu: VcpuView): string[] {
  const { state } = vcpu;
  const registers = Object.entries(GPR).map(
    ([name, index]) => `${name.padStart(3)}=${hex16(state.gpr(index))}`,
  );
  const lines = [`vcpu ${vcpu.id}: ${vcpu.activity}, ${vcpu.retired} instructions`];
  for (let i = 0; i < registers.length; i += 4) lines.push(registers.slice(i, i + 4).join(" "));
  lines.push(`rip=${hex16(state.rip)} rflags=${hex16(state.rflags)} cpl=${state.cpl}`);
  lines.push(
    (["cr0", "cr2", "cr3", "cr4", "efer"] as const)
      .map((name) => `${name}=${state[name].toString(16)}`)
      .join(" "),
  );
  lines.push(
    (["cs", "ss", "ds", "es", "fs", "gs"] as const)
      .map((name) => {
        const { selector, base } = state.segment(SEG[name]);
        return `${name}=${selector.toString(16).padStart(4, "0")}:${base.toString(16)}`;
      })
      .join(" "),
  );
  return [...lines, ...walkLines(machine, vcpu)];
}

/** The entry used at each level down to the page of rip, or to where the walk ends. */
function walkLines(machine: Machine, vcpu: VcpuView): string[] {
  const at = vcpu.state.segment(SEG.cs).base + vcpu.state.rip;
  const result = guestWalk(machine, vcpu.id, at);
  if (result.top === 0) return [`walk of 0x${at.toString(16)}: paging is off`];
  const lines = [`walk of 0x${at.toString(16)} from cr3:`];
  for (let level = result.top; level >= result.level; level--)
    lines.push(
      `  level ${level} entry at gpa 0x${result.entryAt(level).toString(16)} = 0x${result.entry(level).toString(16)}`,
    );
  lines.push(
    result.kind === "translation"
      ? `  → gpa 0x${(result.frame * 4096).toString(16)}`
      : `  ends there: ${result.reason ?? "fault"}`,
  );
  return lines;
}
