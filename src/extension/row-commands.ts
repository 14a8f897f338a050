import * as vscode from "vscode";
import type { TreeNode } from "../adapter/protocol";
import type { GuestTree } from "./guest-tree";
import type { MemoryDocuments } from "./memory-document";
import type { Row } from "./tree-model";

interface Tools {
  readonly trees: readonly GuestTree[];
  readonly memory: MemoryDocuments;
}

type RowCommand = (row: Row, tools: Tools) => unknown;

/** Commands on a row of a tree, by their ids; package.json puts them into the menus. */
const ROW_COMMANDS: Readonly<Record<string, RowCommand>> = {
  "penumbra.copyValue": ({ node }) => vscode.env.clipboard.writeText(node.value ?? node.label),
  "penumbra.copyRow": ({ node }) =>
    vscode.env.clipboard.writeText(`${node.label} ${node.description}`.trim()),
  "penumbra.addToWatch": ({ node }) =>
    node.watch === undefined
      ? lacks(node, "no expression: watch a row of the current root")
      : vscode.commands.executeCommand("debug.addToWatchExpressions", {
          variable: { evaluateName: node.watch },
        }),
  "penumbra.breakOnWrite": ({ node }) =>
    node.breakpoint === undefined
      ? lacks(node, "no entry to break on: choose the row of one spte")
      : breakOn(node.breakpoint),
  "penumbra.openMemory": ({ node }, { memory }) =>
    node.memoryReference === undefined
      ? lacks(node, "no memory of its own: choose a page, an spte or a slot")
      : memory.open(node.memoryReference),
  "penumbra.revealOther": async ({ node }, { trees }) => {
    const { reveal } = node;
    const tree = trees.find(({ definition }) => definition.name === reveal?.view);
    if (!reveal || !tree) {
      await lacks(node, "no twin in another view: choose the row of an spte that a root leads to");
      return;
    }
    if (!(await tree.reveal(reveal.id))) {
      await vscode.window.showInformationMessage(
        `"${node.label}" is no longer in ${tree.view.title}: the guest has gone on since.`,
      );
    }
  },
};

/** Says why a command does nothing on this row; menus do not offer it, but keys and the palette do. */
const lacks = ({ label }: TreeNode, what: string): Thenable<unknown> =>
  vscode.window.showInformationMessage(`"${label}" has ${what}.`);

/** The row that a command without one is about: the selected one of a view that is shown. */
export const selectedRow = (trees: readonly GuestTree[]): Row | undefined =>
  (trees.find(({ view }) => view.visible && view.selection.length > 0) ?? trees[0])?.view
    .selection[0];

/** Registers the row commands. From the keyboard or the palette they act on the selected row. */
export function registerRowCommands(tools: Tools): vscode.Disposable {
  return vscode.Disposable.from(
    ...Object.entries(ROW_COMMANDS).map(([id, run]) =>
      vscode.commands.registerCommand(
        id,
        async (row: Row | undefined = selectedRow(tools.trees)) => {
          if (row) await run(row, tools);
          else {
            await vscode.window.showInformationMessage(
              "Select a row of one of Penumbra's views first: roots, Sptes, Unsync Pages or Memslots.",
            );
          }
        },
      ),
    ),
  );
}

/** Adds a function breakpoint, once. */
export function breakOn(text: string): void {
  const there = vscode.debug.breakpoints.some(
    (breakpoint) =>
      breakpoint instanceof vscode.FunctionBreakpoint && breakpoint.functionName === text,
  );
  if (!there) vscode.debug.addBreakpoints([new vscode.FunctionBreakpoint(text)]);
}
