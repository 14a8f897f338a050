import * as vscode from "vscode";
import type { TreeNode } from "../adapter/protocol";
import { changeUri, changeWords } from "./change-decorations";
import type { Row } from "./tree-model";

const COLLAPSIBLE = {
  none: vscode.TreeItemCollapsibleState.None,
  collapsed: vscode.TreeItemCollapsibleState.Collapsed,
  expanded: vscode.TreeItemCollapsibleState.Expanded,
} as const;

/** How a row looks and sounds. The tooltip comes later, when it is pointed at. */
export function rowItem(row: Row, showMoreCommand: string, view: string): vscode.TreeItem {
  const { node } = row;
  const item = new vscode.TreeItem(node.label, COLLAPSIBLE[node.children]);
  item.id = node.id;
  item.description = node.description;
  item.iconPath = new vscode.ThemeIcon(node.icon);
  item.contextValue = contextValue(node);
  // The accessible name replaces label and description, so it says all that the row shows.
  const change =
    node.change && !node.spoken.startsWith(node.change) ? `, ${changeWords[node.change]}` : "";
  item.accessibilityInformation = {
    label: `${node.spoken || `${node.label} ${node.description}`}${change}`,
    role: "treeitem",
  };
  if (node.change) item.resourceUri = changeUri(node.id, node.change);
  if (node.context === "more") {
    item.command = { command: showMoreCommand, title: "Show More", arguments: [view, row] };
    item.tooltip = item.accessibilityInformation.label;
  }
  return item;
}

/** The tooltip's Markdown comes from the adapter: every bit by name, and what changed. */
export function rowTooltip({ node }: Row): vscode.MarkdownString {
  const tooltip = new vscode.MarkdownString(node.tooltip, true);
  tooltip.isTrusted = false;
  return tooltip;
}

/** Kinds of the node, and a word for each thing it can do: the menus ask for these. */
function contextValue(node: TreeNode): string {
  return [
    node.context,
    node.watch === undefined ? "" : "watchable",
    node.breakpoint === undefined ? "" : "breakable",
    node.memoryReference === undefined ? "" : "readable",
    node.hostPage === undefined ? "" : "hosted",
    node.reveal === undefined ? "" : "linked",
  ]
    .filter((word) => word !== "")
    .join(" ");
}
