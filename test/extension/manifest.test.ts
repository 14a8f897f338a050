import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import manifest from "../../package.json";
import { readLaunchArguments } from "../../src/adapter/launch";
import { VIEWS } from "../../src/extension/views";

const { contributes } = manifest;
const [debuggerType] = contributes.debuggers;
const launch = debuggerType?.configurationAttributes.launch.properties ?? {};

interface Schema {
  readonly description?: string;
  readonly markdownDescription?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly enumDescriptions?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
}

describe("package.json", () => {
  it("describes every launch key, and every value of an enumeration", () => {
    const check = (key: string, schema: Schema): void => {
      assert.ok(schema.description ?? schema.markdownDescription, key);
      assert.equal(schema.enumDescriptions?.length, schema.enum?.length, key);
      for (const [inner, part] of Object.entries(schema.properties ?? {})) {
        check(`${key}.${inner}`, part);
      }
    };
    for (const [key, schema] of Object.entries(launch)) check(key, schema as Schema);
  });

  it("names the launch keys that the adapter reads, with the defaults that it has", () => {
    const defaults = Object.fromEntries(
      Object.entries(launch as Readonly<Record<string, Schema>>)
        .filter(([, schema]) => schema.default !== undefined)
        .map(([key, schema]) => [key, schema.default]),
    );
    const spelled = readLaunchArguments({ ...defaults, program: "guest.elf" });
    assert.notEqual(typeof spelled, "string", String(spelled));
    assert.deepEqual(spelled, readLaunchArguments({ program: "guest.elf" }));
  });

  it("accepts each enumerated value", () => {
    for (const [key, schema] of Object.entries(launch as Readonly<Record<string, Schema>>)) {
      for (const value of schema.enum ?? []) {
        const read = readLaunchArguments({ program: "guest.elf", [key]: value });
        assert.notEqual(typeof read, "string", String(read));
      }
    }
  });

  it("gives every command a title, a category and, if it is in a title bar or a row, an icon", () => {
    const { menus } = contributes;
    const buttons = [
      ...menus["view/title"],
      ...menus["view/item/context"].filter(({ group }) => group.startsWith("inline")),
    ].map(({ command }) => command);
    for (const command of contributes.commands) {
      assert.ok(command.title, command.command);
      assert.equal(command.category, "Penumbra", command.command);
      if (buttons.includes(command.command)) assert.ok("icon" in command, command.command);
    }
  });

  it("contributes the views that the extension makes, under the same titles", () => {
    assert.deepEqual(
      contributes.views.debug.map(({ id, name }) => ({ id, title: name })),
      VIEWS.map(({ id, title }) => ({ id, title })),
    );
  });

  it("names only files that are there", () => {
    const files = [
      manifest.icon,
      ...contributes.languages.map(({ configuration }) => configuration),
      ...contributes.grammars.map(({ path }) => path),
      ...contributes.walkthroughs.flatMap(({ steps }) => steps.map(({ media }) => media.markdown)),
    ];
    assert.deepEqual(
      files.filter((file) => !existsSync(file)),
      [],
    );
  });
});
