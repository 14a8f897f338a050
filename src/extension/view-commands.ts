import * as vscode from "vscode";
import { type GuestTree, SHOW_MORE } from "./guest-tree";
import { breakOn } from "./row-commands";
import { findSamples, sampleConfiguration } from "./samples";
import type { Row } from "./tree-model";

/** Commands of the palette, the view titles and the walkthrough. */
export function registerViewCommands(
  extension: vscode.Uri,
  trees: readonly GuestTree[],
): vscode.Disposable {
  const tree = (name: GuestTree["definition"]["name"]): GuestTree | undefined =>
    trees.find(({ definition }) => definition.name === name);

  const filterSptes = async (): Promise<void> => {
    const sptes = tree("sptes");
    const filter = await vscode.window.showInputBox({
      title: "Filter Sptes",
      prompt: "An address (gva:, gpa:, hpa:) whose sptes are shown, or text that the rows contain",
      placeHolder: "gpa:0x3000",
      value: sptes?.filter ?? "",
    });
    if (filter !== undefined) await sptes?.setFilter(filter.trim());
  };

  const goToAddress = async (): Promise<void> => {
    const address = await vscode.window.showInputBox({
      title: "Go to Address",
      prompt: "Shows every spte that maps the address, and the first of them below its root",
      placeHolder: "gva:0x400000, gpa:0x3000, hpa:0x5000 or an expression",
    });
    if (!address) return;
    const sptes = tree("sptes");
    await vscode.commands.executeCommand("penumbra.sptes.focus");
    if ((await sptes?.setFilter(address.trim())) === 0) {
      await vscode.window.showInformationMessage(`No spte maps ${address} now.`);
      return;
    }
    const rows = (await sptes?.getChildren()) ?? [];
    // A frame may be mapped at several addresses: the one that was asked for comes first.
    const target = (rows.find((row) => showsPageOf(row, address)) ?? rows[0])?.node.reveal;
    if (target) await tree(target.view)?.reveal(target.id, false);
  };

  const debugSample = async (): Promise<void> => {
    const [sample] = await findSamples(extension);
    if (!sample) throw new Error("The sample guest is missing from this installation.");
    const folder = vscode.workspace.workspaceFolders?.[0];
    await vscode.window.showTextDocument(sample.source);
    await vscode.debug.startDebugging(folder, sampleConfiguration(sample));
  };

  const commands: Readonly<Record<string, (...args: never[]) => unknown>> = {
    "penumbra.filterSptes": filterSptes,
    "penumbra.clearSpteFilter": () => tree("sptes")?.setFilter(undefined),
    "penumbra.goToAddress": goToAddress,
    "penumbra.debugSample": debugSample,
    "penumbra.breakOnPageFault": () => breakOn("pf"),
    [SHOW_MORE]: (view: string, row: Row) =>
      trees.find(({ definition }) => definition.id === view)?.showMore(row),
  };
  return vscode.Disposable.from(
    ...Object.entries(commands).map(([id, run]) => vscode.commands.registerCommand(id, run)),
  );
}

/** Whether a row's label names the page of the address that a text ends in. */
function showsPageOf({ node }: Row, text: string): boolean {
  const digits = /0x([0-9a-f]+)\s*$/i.exec(text)?.[1];
  if (digits === undefined) return false;
  const page = BigInt(`0x${digits}`) & ~0xfffn;
  return node.label.split(/\s/).includes(`0x${page.toString(16)}`);
}
