import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { WorkerAdapter } from "../../../src/extension/worker-adapter";

describe("an adapter in a thread", () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "penumbra-worker-"));
  after(() => rmSync(folder, { recursive: true }));

  /** Starts an adapter whose thread runs `body` for each message. */
  function adapterOf(body: string) {
    const file = path.join(folder, `worker-${body.length}.js`);
    writeFileSync(
      file,
      `const { parentPort } = require("node:worker_threads");
       parentPort.on("message", (message) => { ${body} });`,
    );
    const told: string[] = [];
    const adapter = new WorkerAdapter(file, (text) => told.push(text));
    const messages: DebugProtocol.ProtocolMessage[] = [];
    const ended = new Promise<void>((resolve) => {
      adapter.onDidSendMessage((message) => {
        messages.push(message as DebugProtocol.ProtocolMessage);
        if ((message as DebugProtocol.Event).event === "terminated") resolve();
      });
    });
    return { adapter, told, messages, ended };
  }

  it("that dies refuses what is waiting, ends the session and says so once", async () => {
    const { adapter, told, messages, ended } = adapterOf('throw new Error("out of sptes")');
    adapter.handleMessage({ type: "request", seq: 7, command: "threads" } as object);
    await ended;
    const [answer] = messages as DebugProtocol.Response[];
    assert.equal(answer?.request_seq, 7);
    assert.equal(answer?.success, false);
    assert.match(answer?.message ?? "", /out of sptes/);
    assert.equal(told.length, 1);
    assert.match(told[0] ?? "", /a bug in Penumbra: out of sptes\. Start debugging again/);

    adapter.handleMessage({ type: "request", seq: 8, command: "disconnect" } as object);
    assert.equal((messages.at(-1) as DebugProtocol.Response).request_seq, 8);
    adapter.dispose();
  });

  it("that is disposed of says nothing", async () => {
    const { adapter, told } = adapterOf("");
    adapter.dispose();
    adapter.handleMessage({ type: "request", seq: 1, command: "disconnect" } as object);
    assert.deepEqual(told, []);
  });
});
