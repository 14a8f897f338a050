import * as vscode from "vscode";
import type { Sessions } from "./sessions";

/** Where the guest stands, in the status bar: `tick 81 233 · vcpu 0 · shadow · 2 unsync`. */
export function createStatus(sessions: Sessions): vscode.Disposable {
  const item = vscode.window.createStatusBarItem(
    "penumbra.position",
    vscode.StatusBarAlignment.Left,
    0,
  );
  item.name = "Penumbra Position";
  item.command = "penumbra.shadowRoots.focus";
  const update = (): void => {
    const { stop, state } = sessions;
    if (state === "none") {
      item.hide();
      return;
    }
    const parts = stop
      ? [
          `tick ${spaced(stop.tick)}`,
          `vcpu ${stop.vcpu}`,
          ...(stop.mmu === "none" ? ["no MMU engine"] : [stop.mmu, `${stop.unsync} unsync`]),
        ]
      : ["running"];
    item.text = `$(layers) ${parts.join(" · ")}`;
    item.tooltip = stop
      ? "Instructions retired, the vCPU that stopped, the MMU engine, and its unsync pages. Opens Shadow Roots."
      : "The guest is running.";
    item.accessibilityInformation = { label: `Penumbra: ${parts.join(", ")}` };
    item.show();
  };
  return vscode.Disposable.from(item, sessions.onDidChange(update));
}

/** 81233 as "81 233", with spaces that do not break. */
function spaced(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u00a0");
}
