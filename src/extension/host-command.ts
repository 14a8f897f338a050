import * as vscode from "vscode";
import type { HostActionResponse, HostActionsResponse } from "../adapter/protocol";
import type { GuestTree } from "./guest-tree";
import { selectedRow } from "./row-commands";
import type { Sessions } from "./sessions";
import type { Row } from "./tree-model";

/** "Host Action…": what the host does to the guest page of a row, or of an address that is asked for. */
export function registerHostCommand(
  sessions: Sessions,
  trees: readonly GuestTree[],
): vscode.Disposable {
  return vscode.commands.registerCommand("penumbra.hostAction", async (row?: Row) => {
    const { session } = sessions;
    if (!session || sessions.state !== "stopped") {
      await vscode.window.showInformationMessage(
        "The host can act only while the guest stands still: pause it first.",
      );
      return;
    }
    // From the keyboard or the palette the selected row is offered, to be taken or changed.
    const address = row?.node.hostPage ?? (await askAddress(selectedRow(trees)?.node.hostPage));
    if (!address) return;
    const { actions }: HostActionsResponse = await session.customRequest("penumbra/hostActions");
    const items = actions.map(({ action, title, about }) => ({
      label: title,
      detail: `${about.charAt(0).toUpperCase()}${about.slice(1)}.`,
      action,
    }));
    const chosen = await vscode.window.showQuickPick(items, {
      title: `Host Action on ${address}`,
      matchOnDetail: true,
    });
    if (!chosen) return;
    try {
      const answer: HostActionResponse = await session.customRequest("penumbra/hostAction", {
        action: chosen.action,
        address,
      });
      await vscode.window.showInformationMessage(answer.text);
    } catch (refusal) {
      const text = refusal instanceof Error ? refusal.message : String(refusal);
      await vscode.window.showWarningMessage(text);
    }
  });
}

const askAddress = (value = ""): Thenable<string | undefined> =>
  vscode.window.showInputBox({
    value,
    title: "Host Action",
    prompt: "The page of the host process behind this address",
    placeHolder: "gva:0x400000, gpa:0x3000, hva:0x7f0000003000 or an expression",
  });
