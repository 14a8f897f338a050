import * as vscode from "vscode";
import type { TreeNode } from "../adapter/protocol";

type Change = NonNullable<TreeNode["change"]>;

const SCHEME = "penumbra-row";

/** What a change is called, for those who cannot see its colour or letter. */
export const changeWords: Readonly<Record<Change, string>> = {
  new: "new since the last stop or edit",
  changed: "changed since the last stop or edit",
  dropped: "dropped since the last stop or edit",
};

const LOOKS: Readonly<Record<Change, { readonly badge: string; readonly color: string }>> = {
  new: { badge: "A", color: "penumbra.newForeground" },
  changed: { badge: "M", color: "penumbra.changedForeground" },
  dropped: { badge: "D", color: "penumbra.droppedForeground" },
};

/** The resource a changed row stands for; the change is in it, so another change is another resource. */
export function changeUri(id: string, change: Change): vscode.Uri {
  return vscode.Uri.from({ scheme: SCHEME, path: `/${encodeURIComponent(id)}`, query: change });
}

/** A letter and a colour for rows that differ from the last stop, as Source Control does for files. */
export function changeDecorations(): vscode.Disposable {
  return vscode.window.registerFileDecorationProvider({
    provideFileDecoration(uri) {
      if (uri.scheme !== SCHEME) return undefined;
      const change = uri.query as Change;
      const look = LOOKS[change];
      return new vscode.FileDecoration(
        look.badge,
        changeWords[change],
        new vscode.ThemeColor(look.color),
      );
    },
  });
}
