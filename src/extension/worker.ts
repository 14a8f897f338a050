import { access, readFile } from "node:fs/promises";
import { type MessagePort, parentPort } from "node:worker_threads";
import { Session, type Surroundings } from "../adapter";

/** The thread that holds the adapter and the machine. All that crosses is Debug Adapter Protocol. */
function serve(port: MessagePort): void {
  const session = new Session(surroundings);
  // The thread ends with the editor's word, not with the first disconnect.
  session.setRunAsServer(true);
  session.onDidSendMessage((message) => port.postMessage(message));
  port.on("message", (message) => session.handleMessage(message));
}

/** What a person would call the errors of opening a file. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  EISDIR: "it is a folder",
};

const surroundings: Surroundings = {
  async readFile(path) {
    try {
      return await readFile(path);
    } catch (problem) {
      const { code, message } = problem as NodeJS.ErrnoException;
      throw new Error(REASONS[code ?? ""] ?? message);
    }
  },
  fileExists: (path) =>
    access(path).then(
      () => true,
      () => false,
    ),
  defer: (work) => {
    setImmediate(work);
  },
};

if (parentPort) serve(parentPort);
