import { createServer } from "node:net";
import { nodeSurroundings, Session } from "../adapter";
import { type Console, STATUS } from "./console";

/** `penumbra dap`: on stdio, or with `--port N` on a loopback port. */
export function dap(words: readonly string[], console: Console): Promise<number> | number {
  if (words.length === 0) return serveStdio();
  const port = portOf(words);
  if (port === undefined) {
    console.error(`penumbra dap: takes --port N (0 to 65535) or nothing, not "${words.join(" ")}"`);
    return STATUS.badInput;
  }
  return servePort(port, console);
}

function portOf([flag, number = "", ...rest]: readonly string[]): number | undefined {
  const wellFormed = flag === "--port" && /^\d+$/.test(number) && rest.length === 0;
  return wellFormed && Number(number) <= 65535 ? Number(number) : undefined;
}

/** The adapter on standard input and output; ends with its client. */
function serveStdio(): Promise<number> {
  const session = new Session(nodeSurroundings);
  session.start(process.stdin, process.stdout);
  return new Promise((resolve) => process.stdin.once("close", () => resolve(0)));
}

/** The adapter on a loopback port, a session for each connection; port 0 takes a free one. */
function servePort(port: number, console: Console): Promise<number> {
  const server = createServer((socket) => {
    const session = new Session(nodeSurroundings);
    session.setRunAsServer(true);
    socket.on("error", () => socket.destroy());
    session.start(socket, socket);
  });
  return new Promise((resolve) => {
    server.on("error", (problem) => {
      console.error(
        `penumbra dap: cannot listen on port ${port} (${problem.message}); choose another`,
      );
      resolve(STATUS.badInput);
    });
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      const taken = typeof address === "object" && address ? address.port : port;
      console.error(`penumbra dap: listening on 127.0.0.1:${taken}`);
    });
  });
}
