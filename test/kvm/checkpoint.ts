import type { Guest } from "./guest";

/** The guest as it is now; call the answer to bring it back to this. TLBs are emptied then. */
export function checkpoint(g: Guest): () => void {
  const saved = structuredClone({
    vm: g.vm.save(),
    process: g.process.save(),
    host: g.host.save(),
  });
  return () => {
    g.process.restore(saved.process);
    g.host.restore(saved.host);
    g.vm.restore(saved.vm);
    g.cpu.flushTlb();
  };
}
