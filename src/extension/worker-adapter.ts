import { Worker } from "node:worker_threads";
import * as vscode from "vscode";

interface Request {
  readonly type: "request";
  readonly seq: number;
  readonly command: string;
}

/**
 * The editor's end of an adapter in a thread of its own: it forwards messages and nothing else, so a
 * guest that runs never blocks the extension host.
 *
 * If the thread dies, each waiting request is refused, the session ends, and the person is told once.
 */
export class WorkerAdapter implements vscode.DebugAdapter {
  private readonly messages = new vscode.EventEmitter<vscode.DebugProtocolMessage>();
  readonly onDidSendMessage = this.messages.event;
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Request>();
  private ended = false;

  constructor(
    file: string,
    private readonly tell: (text: string) => void,
  ) {
    this.worker = new Worker(file, { name: "penumbra" });
    this.worker.on("message", (message: Message) => {
      if (message.type === "response") this.waiting.delete(message.request_seq);
      this.messages.fire(message);
    });
    this.worker.on("error", (problem) => this.die(problem.message));
    this.worker.on("messageerror", (problem) => this.die(problem.message));
    this.worker.on("exit", (status) => this.die(`it ended with ${status}`));
  }

  handleMessage(message: vscode.DebugProtocolMessage): void {
    const request = message as Request;
    if (request.type === "request") this.waiting.set(request.seq, request);
    if (this.ended) this.refuseWaiting("The adapter has ended.");
    else this.worker.postMessage(message);
  }

  dispose(): void {
    this.ended = true;
    void this.worker.terminate();
    this.messages.dispose();
  }

  private die(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    const text = `Penumbra's adapter stopped because of a bug in Penumbra: ${reason}.`;
    this.refuseWaiting(text);
    this.send({ type: "event", event: "terminated", seq: 0 });
    this.tell(`${text} Start debugging again to go on.`);
    void this.worker.terminate();
  }

  private refuseWaiting(text: string): void {
    for (const { seq, command } of this.waiting.values()) {
      const answer = { request_seq: seq, command, success: false, message: text };
      this.send({ type: "response", seq: 0, ...answer });
    }
    this.waiting.clear();
  }

  private send(message: object): void {
    this.messages.fire(message);
  }
}

/** What the adapter sends; the editor's own type for it is opaque. */
interface Message extends vscode.DebugProtocolMessage {
  readonly type: string;
  readonly request_seq: number;
}
