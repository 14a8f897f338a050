import { gfn, gpa, pagesPerLevel } from "../../src/x86";
import type { Guest } from "./guest";

/** Makes the host page around a gfn huge: all of it resident in frames that follow each other. */
export function hugeHostPage(g: Guest, frame: number, level: 2 | 3 = 2): Guest {
  const span = pagesPerLevel(level);
  const first = frame - (frame % span);
  for (let i = 0; i < span; i++) g.vm.memory.frameOffset(gfn(first + i), true);
  const slot = g.vm.slots.find((s) => s.contains(gfn(frame)))!;
  const start = slot.hvaOf(gfn(first));
  const { mappingLevel } = g.process;
  Object.assign(g.process, {
    mappingLevel: (at: number) =>
      at >= start && at < start + gpa(span * 4096)
        ? level
        : mappingLevel.call(g.process, at as never),
  });
  return g;
}
