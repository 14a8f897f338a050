import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import manifest from "../../package.json";
import { LAUNCH_KEY_NAMES, readLaunchArguments } from "../../src/adapter/launch";
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
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly examples?: readonly unknown[];
  readonly defaultSnippets?: readonly { readonly label: string; readonly body: unknown }[];
}

describe("package.json", () => {
  it("describes every launch key and every value of an enumeration, in sentences", () => {
    const sentence = /^[A-Z0-9`].*\.$/;
    const inside = (key: string, { properties = {}, items, anyOf = [] }: Schema): void => {
      for (const [inner, part] of Object.entries(properties)) check(`${key}.${inner}`, part);
      for (const each of anyOf) inside(key, each);
      if (items?.enum) assert.equal(items.enumDescriptions?.length, items.enum.length, key);
      for (const text of items?.enumDescriptions ?? []) assert.match(text, sentence, key);
      if (items) inside(`${key}[]`, items);
    };
    const check = (key: string, schema: Schema): void => {
      assert.match(schema.description ?? schema.markdownDescription ?? "", sentence, key);
      assert.equal(schema.enumDescriptions?.length, schema.enum?.length, key);
      for (const text of schema.enumDescriptions ?? []) assert.match(text, sentence, key);
      inside(key, schema);
    };
    for (const [key, schema] of Object.entries(launch)) check(key, schema as Schema);
  });

  it("has every launch key that the adapter reads, and none besides; the guide names them all", () => {
    // Of these keys one is the extension's own.
    assert.deepEqual(
      Object.keys(launch)
        .filter((key) => key !== "trace")
        .sort(),
      [...LAUNCH_KEY_NAMES].sort(),
    );
    const guide = readFileSync("docs/using.md", "utf8");
    for (const key of LAUNCH_KEY_NAMES) assert.ok(guide.includes(`\`${key}\``), key);
  });

  it("offers examples and snippets that the adapter accepts", () => {
    let offered = 0;
    for (const [key, schema] of Object.entries(launch as Readonly<Record<string, Schema>>)) {
      const snippets = schema.defaultSnippets?.map(({ body }) => body) ?? [];
      for (const value of [...(schema.examples ?? []), ...snippets]) {
        const read = readLaunchArguments({ program: "guest.elf", [key]: value });
        assert.notEqual(typeof read, "string", String(read));
        offered++;
      }
    }
    assert.ok(offered > 5);
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
