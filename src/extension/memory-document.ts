import * as vscode from "vscode";
import { hexDump } from "./hex-dump";
import type { Sessions } from "./sessions";

const SCHEME = "penumbra-memory";
const PAGE = 4096;
const HEX_EDITOR = "ms-vscode.hexeditor";

/**
 * Memory by reference. With the Hex Editor installed it is the editor's own memory view, where bytes
 * can be changed; without it, one page as a read-only text that follows the guest from stop to stop.
 */
export class MemoryDocuments implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;
  private readonly disposables: vscode.Disposable[];

  constructor(private readonly sessions: Sessions) {
    const refresh = (): void => {
      for (const { uri } of vscode.workspace.textDocuments) {
        if (uri.scheme === SCHEME) this.changed.fire(uri);
      }
    };
    this.disposables = [
      this.changed,
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      sessions.onDidStop(refresh),
      sessions.onDidInvalidate(refresh),
    ];
  }

  async open(reference: string): Promise<void> {
    const { session } = this.sessions;
    if (session && vscode.extensions.getExtension(HEX_EDITOR)) {
      await vscode.commands.executeCommand("workbench.debug.viewlet.action.viewMemory", {
        sessionId: session.id,
        variable: { memoryReference: reference },
      });
      return;
    }
    const uri = vscode.Uri.from({ scheme: SCHEME, path: reference });
    const line = Math.floor(offsetInPage(reference) / 16);
    const selection = new vscode.Range(line, 0, line, 0);
    await vscode.window.showTextDocument(uri, { preview: true, selection });
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const { session, state } = this.sessions;
    if (!session || state !== "stopped") return "No stopped guest to read memory from.";
    try {
      // From the start of the page: an entry is best seen among its neighbours.
      const { address, data, unreadableBytes } = (await session.customRequest("readMemory", {
        memoryReference: uri.path,
        offset: -offsetInPage(uri.path),
        count: PAGE,
      })) as ReadMemory;
      const bytes = Buffer.from(data ?? "", "base64");
      return hexDump(BigInt(address), bytes, unreadableBytes ?? 0);
    } catch (problem) {
      return problem instanceof Error ? problem.message : String(problem);
    }
  }

  dispose(): void {
    for (const disposable of this.disposables) disposable.dispose();
  }
}

interface ReadMemory {
  readonly address: string;
  readonly data?: string;
  readonly unreadableBytes?: number;
}

/** Of `hpa:0x5018`: 0x18. References are opaque but for the address they end in. */
function offsetInPage(reference: string): number {
  const address = /0x([0-9a-f]+)$/i.exec(reference)?.[1];
  return address === undefined ? 0 : Number(BigInt(`0x${address}`) & BigInt(PAGE - 1));
}
