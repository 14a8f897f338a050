import { type Failure, type Program, runAgain } from "./run";
import { ENDLESS, type Setup } from "./setup";
import type { Step } from "./steps";

/**
 * A smaller program that fails too: steps left out in halves, quarters, …, then what is left made
 * simpler step by step, until nothing more can go.
 */
export function shrink(failure: Failure): Failure {
  const kind = kindOf(failure);
  const attempt = (program: Program): Failure | undefined => {
    const again = runAgain(program);
    return again && kindOf(again) === kind ? again : undefined;
  };
  let least = attempt(failure.program) ?? failure;
  for (let size = Number.POSITIVE_INFINITY; least.program.steps.length < size; ) {
    size = least.program.steps.length;
    least = simplified(withoutChunks(least, attempt), attempt);
  }
  return least;
}

/** Fails as the first failure did, or does not. */
type Attempt = (program: Program) => Failure | undefined;

/** An access that differs is another thing than a broken invariant or an exception of the product. */
const kindOf = ({ error }: Failure): string =>
  error instanceof Error ? `${error.name} ${/INV-\w-\d+/.exec(error.message)?.[0] ?? ""}` : "";

function withoutChunks(failure: Failure, attempt: Attempt): Failure {
  let least = failure;
  for (
    let chunk = Math.ceil(least.program.steps.length / 2);
    chunk >= 1;
    chunk = Math.floor(chunk / 2)
  )
    for (let from = 0; from < least.program.steps.length; ) {
      const { setup, steps } = least.program;
      const again = attempt({
        setup,
        steps: [...steps.slice(0, from), ...steps.slice(from + chunk)],
      });
      if (again) least = again;
      else from += chunk;
    }
  return least;
}

function simplified(failure: Failure, attempt: Attempt): Failure {
  let least = failure;
  for (const setup of simplerSetups(least.program.setup)) {
    const again = attempt({ ...least.program, setup: { ...least.program.setup, ...setup } });
    if (again) least = again;
  }
  for (let i = 0; i < least.program.steps.length; i++)
    for (const step of simplerSteps(least.program.steps[i]!)) {
      const { setup, steps } = least.program;
      if (i >= steps.length) break;
      const again = attempt({ setup, steps: steps.map((one, k) => (k === i ? step : one)) });
      if (again) least = again;
    }
  return least;
}

function* simplerSetups(setup: Setup): Iterable<Partial<Setup>> {
  if (setup.tlb.length > 1) yield { tlb: setup.tlb.slice(0, -1) };
  if (setup.tlb.length > 2) yield { tlb: setup.tlb.slice(0, 1) };
  yield { tlb: setup.tlb.map(() => ENDLESS) };
  yield { maxPages: 200 };
  yield { tdpMmu: false };
  yield { resched: 0 };
  yield { physicalBits: 46 };
  yield { gigabytePages: true };
  yield { pse36: true };
  yield { largeKernel: false };
  yield { backing: "anonymous" };
  yield { knobs: {} };
}

function* simplerSteps(step: Step): Iterable<Step> {
  if (step.meanwhile) {
    const { meanwhile, ...alone } = step;
    yield alone as Step;
    for (const inner of simplerSteps(meanwhile.step))
      yield { ...step, meanwhile: { ...meanwhile, step: inner } };
  }
  if ("vcpu" in step && step.vcpu > 0) yield { ...step, vcpu: 0 };
  if (step.op !== "access") return;
  const { implicit, emulated, ...plain } = step;
  if (implicit || emulated) yield plain;
  if (step.value !== undefined && step.value !== 1n) yield { ...step, value: 1n };
  if (step.size !== undefined && step.size !== 8 && step.va % 8n === 0n) yield { ...step, size: 8 };
  if (step.va & 0xfffn) yield { ...step, va: step.va & ~0xfffn };
}
