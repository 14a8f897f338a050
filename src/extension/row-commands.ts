import * as vscode from "vscode";
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
    node.watch !== undefined &&
    vscode.commands.executeCommand("debug.addToWatchExpressions", {
      variable: { evaluateName: node.watch },
    }),
  "penumbra.breakOnWrite": ({ node }) => node.breakpoint !== undefined && breakOn(node.breakpoint),
  "penumbra.openMemory": ({ node }, { memory }) =>
    node.memoryReference !== undefined && memory.open(node.memoryReference),
  "penumbra.revealOther": async ({ node }, { trees }) => {
    const { reveal } = node;
    const tree = trees.find(({ definition }) => definition.name === reveal?.view);
    if (!reveal || !tree) return;
    if (!(await tree.reveal(reveal.id))) {
      await vscode.window.showInformationMessage(
        `"${node.label}" is no longer in ${tree.view.title}: the guest has gone on since.`,
      );
    }
  },
};

/** Registers the row commands. From the keyboard or the palette they act on the selected row. */
export function registerRowCommands(tools: Tools): vscode.Disposable {
  const selected = (): Row | undefined =>
    (tools.trees.find(({ view }) => view.visible && view.selection.length > 0) ?? tools.trees[0])
      ?.view.selection[0];
  return vscode.Disposable.from(
    ...Object.entries(ROW_COMMANDS).map(([id, run]) =>
      vscode.commands.registerCommand(id, async (row: Row | undefined = selected()) => {
        if (row) await run(row, tools);
        else {
          await vscode.window.showInformationMessage(
            "Select a row of Shadow Roots, Sptes, Unsync Pages or Memslots first.",
          );
        }
      }),
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
