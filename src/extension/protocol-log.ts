import * as vscode from "vscode";
import { DEBUG_TYPE } from "./sessions";

/** With `"trace": true` in the launch configuration, every message to and from the adapter is logged. */
export function registerProtocolLog(): vscode.Disposable {
  let channel: vscode.LogOutputChannel | undefined;
  const log = (arrow: string, message: unknown): void => {
    channel ??= vscode.window.createOutputChannel("Penumbra", { log: true });
    channel.info(`${arrow} ${JSON.stringify(message)}`);
  };
  const factory = vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
    createDebugAdapterTracker({ configuration }) {
      if (configuration.trace !== true) return undefined;
      return {
        onWillReceiveMessage: (message) => log("→", message),
        onDidSendMessage: (message) => log("←", message),
      };
    },
  });
  return new vscode.Disposable(() => {
    factory.dispose();
    channel?.dispose();
  });
}
