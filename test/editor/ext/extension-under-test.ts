import assert from "node:assert/strict";
import * as vscode from "vscode";

export function extension(): vscode.Extension<unknown> {
  const found = vscode.extensions.getExtension("penumbra.penumbra");
  assert.ok(found, "the extension is loaded");
  return found;
}
