import { type MessagePort, parentPort } from "node:worker_threads";
import { nodeSurroundings, Session } from "../adapter";

/** The thread that holds the adapter and the machine. All that crosses is Debug Adapter Protocol. */
function serve(port: MessagePort): void {
  const session = new Session(nodeSurroundings);
  // The thread ends with the editor's word, not with the first disconnect.
  session.setRunAsServer(true);
  session.onDidSendMessage((message) => port.postMessage(message));
  port.on("message", (message) => session.handleMessage(message));
}

if (parentPort) serve(parentPort);
