import { changeMaxPages } from "../../../src/kvm/mmu/make-room";
import { accessBoth } from "./access";
import type { Coverage } from "./coverage";
import { switchMode, writeCr3, writeRegister } from "./registers";
import { type BareStep, type Meanwhile, type Step, stepName } from "./steps";
import type { World } from "./world";

/** Takes one step on both sides; throws where they differ. */
export function perform(world: World, step: Step, coverage?: Coverage): void {
  coverage?.count("steps", stepName(step));
  if (!step.meanwhile) {
    take(world, step, coverage);
    return;
  }
  withMeanwhile(world, step.meanwhile, coverage, () => take(world, step, coverage));
}

/** Runs `body`; at the named point, once, the other actor's step. What that finds wrong is thrown here. */
function withMeanwhile(
  world: World,
  { point, nth = 0, step }: Meanwhile,
  coverage: Coverage | undefined,
  body: () => void,
): void {
  let reached = 0;
  const stop = world.subject.trace.on("point", ({ fields }) => {
    if (fields.point !== point || reached++ !== nth) return;
    coverage?.count("races", `${point} ${stepName(step)}`);
    world.settleUnderWay();
    world.interrupting = true;
    take(world, step, coverage);
    world.interrupting = false;
  });
  try {
    body();
  } finally {
    world.interrupting = false;
    stop();
  }
}

function take(world: World, step: BareStep, coverage: Coverage | undefined): void {
  // A shrunk set-up may have fewer vCPUs than its steps once had.
  if ("vcpu" in step && step.vcpu >= world.vcpus.length) return;
  const { subject, vcpus } = world;
  switch (step.op) {
    case "access":
      accessBoth(world, step, coverage);
      return;
    case "flip":
      writeRegister(world, step.vcpu, step.register, vcpus[step.vcpu]![step.register] ^ step.bits);
      return;
    case "cr3":
      writeCr3(world, step.vcpu, step.value, step.noFlush === true);
      return;
    case "mode":
      switchMode(world, step.vcpu, step.mode, step.cr3);
      return;
    case "pkru":
      vcpus[step.vcpu]!.pkru = step.value;
      subject.processors[step.vcpu]!.writePkru(step.value);
      return;
    case "ac":
      vcpus[step.vcpu]!.ac = step.on;
      subject.processors[step.vcpu]!.cpu.ac = step.on;
      return;
    case "invlpg":
      vcpus[step.vcpu]!.flushPage(step.va);
      subject.processors[step.vcpu]!.invlpg(step.va);
      return;
    case "invpcid":
      invpcid(world, step);
      return;
    case "store":
      store(world, step);
      return;
    case "host": {
      const refusal = subject.hostAction(step.action, step.page);
      coverage?.count("host", `${step.action}: ${refusal === undefined ? "done" : "refused"}`);
      return;
    }
    case "age":
      subject.age(step.how, step.page, step.pages);
      return;
    case "slot":
      if (subject.vm) world.setSlot(step);
      return;
    case "dirty-log":
      world.dirty.take(step.id);
      return;
    case "limit":
      if (subject.vm) changeMaxPages(subject.vm.core.state, step.pages);
      return;
    case "clear-log":
      world.dirty.clear(step.id, step.first, step.blocks);
      return;
    case "manual-protect":
      subject.vm?.setManualProtect(step.flags);
      return;
    case "shrink":
      subject.shrink(step.pages);
      return;
    case "memory-limit":
      subject.limitMemory(step.frames);
      return;
    case "nx-huge-pages":
      subject.vm?.setNxHugePages(step.on);
      return;
    case "recover-nx":
      subject.vm?.recoverNxHugePages();
      return;
    case "check":
      world.checkInvariants();
      return;
    case "restore":
      subject.restore();
      return;
  }
}

function invpcid(world: World, step: BareStep & { op: "invpcid" }): void {
  const vcpu = world.vcpus[step.vcpu]!;
  // Without CR4.PCIDE every PCID but 0 is #GP (SDM 2A INVPCID).
  if (!vcpu.tagged && step.pcid !== 0 && step.type < 2) return;
  if (step.type === 0) vcpu.flushPage(step.va, step.pcid);
  else if (step.type === 1) vcpu.flushPcid(step.pcid);
  else vcpu.flushAll();
  world.subject.processors[step.vcpu]!.invpcid(step.type, step.pcid, step.va);
}

function store(world: World, { vcpu, gpa, size, value }: BareStep & { op: "store" }): void {
  if (world.memory.isWritable(gpa)) world.memory.write(gpa, size, value);
  world.subject.processors[vcpu]!.store(gpa, size, value);
}
