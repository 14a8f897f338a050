import * as vscode from "vscode";
import { changeDecorations } from "./change-decorations";
import { registerConfigurations } from "./configurations";
import { GuestTree } from "./guest-tree";
import { registerHostCommand } from "./host-command";
import { MemoryDocuments } from "./memory-document";
import { registerProtocolLog } from "./protocol-log";
import { registerRowCommands } from "./row-commands";
import { DEBUG_TYPE, Sessions } from "./sessions";
import { registerSlotCommands } from "./slot-commands";
import { createStatus } from "./status";
import { registerViewCommands } from "./view-commands";
import { VIEWS } from "./views";
import { WorkerAdapter } from "./worker-adapter";

/** Makes the parts and ties them together; nothing here is reached through globals. */
export function activate(context: vscode.ExtensionContext): void {
  const worker = vscode.Uri.joinPath(context.extensionUri, "dist", "worker.js").fsPath;
  const sessions = new Sessions();
  const trees = VIEWS.map((definition) => new GuestTree(definition, sessions));
  const memory = new MemoryDocuments(sessions);
  const tellError = (text: string): void => {
    void vscode.window.showErrorMessage(text);
  };
  context.subscriptions.push(
    vscode.debug.registerDebugAdapterDescriptorFactory(DEBUG_TYPE, {
      createDebugAdapterDescriptor: () =>
        new vscode.DebugAdapterInlineImplementation(new WorkerAdapter(worker, tellError)),
    }),
    registerConfigurations(context.extensionUri),
    registerProtocolLog(),
    sessions,
    ...trees,
    memory,
    changeDecorations(),
    createStatus(sessions),
    registerRowCommands({ trees, memory }),
    registerHostCommand(sessions, trees),
    registerSlotCommands(sessions, trees),
    registerViewCommands(context.extensionUri, trees),
    // The welcome texts, the menus and the commands' enablement ask for them.
    sessions.onDidChange(() => {
      void vscode.commands.executeCommand("setContext", "penumbra.state", sessions.state);
      void vscode.commands.executeCommand("setContext", "penumbra.mmu", sessions.stop?.mmu);
    }),
  );
}
