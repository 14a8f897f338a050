import assert from "node:assert/strict";
import * as vscode from "vscode";
import { extension } from "./extension-under-test";

describe("the extension", () => {
  it("activates", async () => {
    await extension().activate();
    assert.ok(extension().isActive);
  });

  it("implements every command that it contributes", async () => {
    const implemented = new Set(await vscode.commands.getCommands(true));
    const contributed = contributions().commands.map(({ command }) => command);
    assert.ok(contributed.length > 0);
    assert.deepEqual(
      contributed.filter((command) => !implemented.has(command)),
      [],
    );
  });

  it("contributes each command that a menu, a key or a welcome text names", () => {
    const { commands, menus, keybindings, viewsWelcome } = contributions();
    const known = new Set(commands.map(({ command }) => command));
    const named = [
      ...Object.values(menus).flat(),
      ...keybindings,
      ...viewsWelcome.flatMap(({ contents }) =>
        [...contents.matchAll(/\(command:([\w.]+)\)/g)].map((m) => ({ command: m[1] ?? "" })),
      ),
    ].map(({ command }) => command);
    assert.deepEqual(
      named.filter((command) => !known.has(command)),
      [],
    );
  });

  it("has a welcome text for every view in every state", () => {
    const { views, viewsWelcome } = contributions();
    for (const { id } of views.debug ?? []) {
      const texts = viewsWelcome.filter(({ view }) => view === id);
      for (const state of ["none", "running", "stopped"]) {
        assert.equal(
          texts.filter(({ when }) => when.includes(`'${state}'`)).length,
          1,
          `${id} while ${state}`,
        );
      }
    }
  });
});

interface Contributions {
  readonly commands: readonly { readonly command: string }[];
  readonly menus: Readonly<Record<string, readonly { readonly command: string }[]>>;
  readonly keybindings: readonly { readonly command: string }[];
  readonly views: { readonly debug?: readonly { readonly id: string }[] };
  readonly viewsWelcome: readonly {
    readonly view: string;
    readonly when: string;
    readonly contents: string;
  }[];
}

function contributions(): Contributions {
  return extension().packageJSON.contributes;
}
