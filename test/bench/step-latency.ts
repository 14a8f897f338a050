import path from "node:path";
import { Client } from "../adapter/client";

/** Milliseconds of processor time of one kind of request: the shortest, the middle and the longest. */
export interface Latency {
  readonly what: string;
  readonly least: number;
  readonly median: number;
  readonly most: number;
}

const STEPS = 60;

/** Of this process, which holds client and adapter: a busy computer hardly matters. */
const cpuMilliseconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/**
 * What a client waits for: from sending a step to having the stop, its stack, its scopes and the
 * registers on screen. Nothing is asserted: the bench prints it.
 */
export async function stepLatency(): Promise<readonly Latency[]> {
  const client = new Client();
  await client.launch({ program: path.resolve("media/guests/paging-tour/paging-tour.elf") });
  await client.stopped();
  const rows: Latency[] = [];
  const row = async (
    what: string,
    step: () => Promise<unknown>,
    ready: () => Promise<unknown> = async () => {},
  ): Promise<void> => {
    const times: number[] = [];
    for (let n = 0; n < STEPS; n++) {
      const from = cpuMilliseconds();
      await step();
      times.push(cpuMilliseconds() - from);
      await ready();
    }
    times.sort((a, b) => a - b);
    const at = (part: number): number => times[Math.floor(part * (times.length - 1))] ?? 0;
    rows.push({ what, least: at(0), median: at(0.5), most: at(1) });
  };
  await client.runTo("build_page_tables");
  await row("stepIn, one instruction", () => client.step("stepIn", "instruction"));
  await row("the same, with stack and registers", async () => {
    await client.step("stepIn", "instruction");
    await client.scope("Registers");
  });
  await row("the same, with disassembly of 100 rows", async () => {
    await client.step("stepIn", "instruction");
    const [top] = await client.stack();
    await client.request("disassemble", {
      memoryReference: top?.instructionPointerReference,
      instructionOffset: -50,
      instructionCount: 100,
    });
  });
  await client.runTo("demand_paging");
  await row(
    "next, one statement, calls and faults in it",
    () => client.step("next"),
    async () => {
      if ((await client.where()).endsWith(" demand_paging")) return;
      await client.request("restart");
      await client.stopped();
      await client.runTo("demand_paging");
    },
  );
  await client.runTo("stale_translation");
  await row("stack", () => client.stack());
  await row("all four trees", async () => {
    for (const view of ["shadowRoots", "sptes", "unsync", "memslots"] as const)
      await client.tree(view);
  });
  client.dispose();
  return rows;
}
