import * as vscode from "vscode";
import type { StoppedBody } from "../adapter/protocol";
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
      ? [`tick ${spaced(stop.tick)}`, `vcpu ${stop.vcpu}`, ...engineOf(stop)]
      : ["running"];
    item.text = `$(layers) ${parts.join(" · ")}`;
    item.tooltip = stop
      ? `Instructions retired, the vCPU that stopped, and ${ENGINES[stop.mmu]}. Opens the roots.`
      : "The guest is running.";
    item.accessibilityInformation = { label: `Penumbra: ${parts.join(", ")}` };
    item.show();
  };
  return vscode.Disposable.from(item, sessions.onDidChange(update));
}

/** The tooltip's words for the last parts of the text. */
const ENGINES = {
  none: "no hypervisor: the guest's own page tables are all there is",
  shadow: "shadow paging with its unsync pages",
  ept: "Intel's extended page tables, which leave nothing to be unsync",
  npt: "AMD's nested page tables, which leave nothing to be unsync",
} as const;

/** `shadow · 2 unsync`, `ept`, `shadow of 2010 · 0 unsync`. */
function engineOf({ mmu, era, unsync }: StoppedBody): readonly string[] {
  if (mmu === "none") return ["no MMU engine"];
  const engine = era === "modern" ? mmu : `${mmu} of ${era}`;
  return mmu === "shadow" ? [engine, `${unsync} unsync`] : [engine];
}

/** 81233 as "81 233", with spaces that do not break. */
function spaced(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u00a0");
}
