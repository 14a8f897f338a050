import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { DebugClient } from "@vscode/debugadapter-testsupport";
import { program, sourcePath } from "./tour";

/** The bundle under test; a loop without the whole build names its own. */
const CLI = process.env.PENUMBRA_CLI ?? "dist/cli.js";

describe("penumbra dap", () => {
  const children: ChildProcess[] = [];
  const clients: DebugClient[] = [];
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.stop().catch(() => undefined);
    for (const child of children.splice(0)) child.kill();
  });

  function start(...args: readonly string[]): ChildProcess {
    const child = spawn(process.execPath, [CLI, "dap", ...args], { stdio: "pipe" });
    children.push(child);
    return child;
  }
  const text = async (child: ChildProcess): Promise<string> => {
    let said = "";
    child.stderr?.on("data", (data) => {
      said += data;
    });
    await once(child, "close");
    return said;
  };
  /** A server, and the port it took. */
  async function serve(): Promise<number> {
    const child = start("--port", "0");
    const [line] = (await once(child.stderr as NodeJS.ReadableStream, "data")) as [Buffer];
    const port = /listening on 127\.0\.0\.1:(\d+)/.exec(String(line))?.[1];
    assert.ok(port, String(line));
    return Number(port);
  }
  async function client(port?: number): Promise<DebugClient> {
    const made = new DebugClient(process.execPath, `"${CLI}" dap`, "penumbra", { shell: true });
    made.defaultTimeout = 30_000;
    clients.push(made);
    await made.start(port);
    return made;
  }

  it("serves a session on standard input and output", async () => {
    const dc = await client();
    await Promise.all([
      dc.configurationSequence(),
      dc.launch({ program }),
      dc.waitForEvent("stopped"),
    ]);
    await dc.setBreakpointsRequest({
      source: { path: sourcePath("demand-paging.c") },
      breakpoints: [{ line: 30 }],
    });
    await Promise.all([dc.continueRequest({ threadId: 1 }), dc.waitForEvent("stopped")]);
    const { body } = await dc.stackTraceRequest({ threadId: 1 });
    assert.equal(body.stackFrames[0]?.line, 30);
    await dc.disconnectRequest();
  });

  it("says what is wrong with a launch, and takes the next", async () => {
    const dc = await client();
    await dc.initializeRequest();
    await assert.rejects(
      dc.launchRequest({ program: "nowhere.elf" } as object),
      /Cannot read nowhere\.elf: no such file/,
    );
    await Promise.all([
      dc.launchRequest({ program } as object),
      dc.waitForEvent("initialized").then(() => dc.configurationDoneRequest()),
      dc.waitForEvent("stopped"),
    ]);
  });

  it("ends when its client goes, even while the guest runs", async () => {
    const child = start();
    const send = (seq: number, command: string, args: object = {}) => {
      const body = JSON.stringify({ seq, type: "request", command, arguments: args });
      child.stdin?.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    };
    send(1, "initialize");
    send(2, "launch", { program, stopOnEntry: false });
    send(3, "configurationDone");
    await once(child.stdout as NodeJS.ReadableStream, "data");
    child.stdin?.end();
    const [code] = await once(child, "exit");
    assert.equal(code, 0);
  });

  it("serves a session for each connection to its port", async () => {
    const port = await serve();
    const [one, two] = [await client(port), await client(port)];
    for (const dc of [one, two])
      await Promise.all([
        dc.configurationSequence(),
        dc.launch({ program }),
        dc.waitForEvent("stopped"),
      ]);
    await Promise.all([one.nextRequest({ threadId: 1 }), one.waitForEvent("stopped")]);
    const line = async (dc: DebugClient) =>
      (await dc.stackTraceRequest({ threadId: 1 })).body.stackFrames[0]?.line;
    assert.equal(await line(two), 26);
    assert.notEqual(await line(one), 26);
    await one.disconnectRequest();
    assert.equal(await line(two), 26);
  });

  it("survives a connection that breaks off", async () => {
    const port = await serve();
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.write("Content-Length: 1000\r\n\r\n{");
    socket.destroy();
    const dc = await client(port);
    await dc.initializeRequest();
  });

  for (const args of [
    ["--port"],
    ["--port", "x"],
    ["--port", "65536"],
    ["--port", ""],
    ["--stdin"],
    ["--port", "1", "2"],
  ])
    it(`refuses ${args.join(" ")} in one line`, async () => {
      const child = start(...args);
      const said = await text(child);
      assert.equal(child.exitCode, 2);
      assert.match(said, /^penumbra dap: .*--port N.*\n$/);
    });

  it("refuses a port that is taken in one line", async () => {
    const port = await serve();
    const child = start("--port", String(port));
    const said = await text(child);
    assert.equal(child.exitCode, 2);
    assert.match(
      said,
      new RegExp(`^penumbra dap: cannot listen on port ${port} .*; choose another\\n$`),
    );
  });
});
