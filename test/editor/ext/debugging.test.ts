import assert from "node:assert/strict";
import * as vscode from "vscode";
import type { TreeResponse, ViewName } from "../../../src/adapter/protocol";
import { extension } from "./extension-under-test";

const VIEWS: readonly ViewName[] = ["shadowRoots", "sptes", "unsync", "memslots"];

interface StoppedEvent {
  readonly session: vscode.DebugSession;
  readonly body: { readonly reason: string; readonly description?: string };
}

/** Resolves at the next event of that name; ask before causing it. */
function nextEvent(name: string): Promise<StoppedEvent> {
  return new Promise((resolve) => {
    const hook = vscode.debug.registerDebugAdapterTrackerFactory("penumbra", {
      createDebugAdapterTracker: (session) => ({
        onDidSendMessage({ type, event, body }) {
          if (type !== "event" || event !== name) return;
          hook.dispose();
          resolve({ session, body });
        },
      }),
    });
  });
}

function sample(more: object = {}): vscode.DebugConfiguration {
  const program = vscode.Uri.joinPath(
    extension().extensionUri,
    "media/guests/paging-tour/paging-tour.elf",
  ).fsPath;
  return { type: "penumbra", request: "launch", name: "tour", program, ...more };
}

describe("debugging", () => {
  afterEach(async () => {
    await vscode.debug.stopDebugging();
    vscode.debug.removeBreakpoints(vscode.debug.breakpoints);
  });

  it("starts the sample from launch.json and stops on entry", async () => {
    const stopped = nextEvent("stopped");
    const folder = vscode.workspace.workspaceFolders?.[0];
    assert.equal(await vscode.debug.startDebugging(folder, "Paging tour"), true);
    assert.equal((await stopped).body.reason, "entry");
  });

  it("starts the sample guest when F5 finds no configuration", async () => {
    const stopped = nextEvent("stopped");
    const empty = { type: "penumbra", request: "launch", name: "tour" };
    assert.equal(await vscode.debug.startDebugging(undefined, empty), true);
    assert.match((await stopped).session.configuration.program, /paging-tour\.elf$/);
  });

  it("answers each view at a stop", async () => {
    const stopped = nextEvent("penumbra/stopped");
    await vscode.debug.startDebugging(undefined, sample());
    const { session } = await stopped;
    for (const view of VIEWS) {
      const answer: TreeResponse = await session.customRequest("penumbra/tree", { view });
      assert.ok(Array.isArray(answer.nodes), view);
      assert.equal(new Set(answer.nodes.map(({ id }) => id)).size, answer.nodes.length, view);
    }
  });

  it("stops at a function breakpoint by the guest's own name for it", async () => {
    vscode.debug.addBreakpoints([new vscode.FunctionBreakpoint("demand_paging")]);
    const stopped = nextEvent("stopped");
    await vscode.debug.startDebugging(undefined, sample({ stopOnEntry: false }));
    const { session, body } = await stopped;
    assert.match(body.reason, /breakpoint/);
    const { stackFrames } = await session.customRequest("stackTrace", { threadId: 1 });
    assert.equal(stackFrames[0].name, "demand_paging");
    assert.match(stackFrames[0].source.path, /demand-paging\.c$/);
  });

  it("stops at the palette's breakpoint on page faults", async () => {
    await vscode.commands.executeCommand("penumbra.breakOnPageFault");
    const stopped = nextEvent("stopped");
    await vscode.debug.startDebugging(undefined, sample({ stopOnEntry: false }));
    assert.match((await stopped).body.description ?? "", /page fault/i);
  });

  it("runs the sample to its end", async () => {
    const terminated = nextEvent("terminated");
    await vscode.debug.startDebugging(undefined, sample({ stopOnEntry: false }));
    await terminated;
  });
});
