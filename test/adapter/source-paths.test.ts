import assert from "node:assert/strict";
import { nodeSurroundings } from "../../src/adapter/node-surroundings";
import { SourcePaths } from "../../src/adapter/source-paths";

/** Finds sources on a computer that has just these files. */
async function found(
  image: string,
  files: readonly string[],
  recorded: readonly [directory: string, name: string],
  sourceMap: Readonly<Record<string, string>> = {},
): Promise<string> {
  const paths = new SourcePaths(image, sourceMap);
  paths.resolve(...recorded);
  const fileExists = (path: string) => Promise.resolve(files.includes(path));
  await paths.settle({ ...nodeSurroundings, fileExists });
  return paths.resolve(...recorded);
}

describe("where sources are found", () => {
  it("a relative path is looked for from the image's folder upward", async () => {
    const files = ["/home/me/repo/guests/a.c", "/home/me/guests/a.c"];
    assert.equal(await found("/home/me/repo/out/a.elf", files, ["", "guests/a.c"]), files[0]);
    assert.equal(await found("/home/me/x/out/a.elf", files, ["", "guests/a.c"]), files[1]);
    assert.equal(await found("/home/me/x/out/a.elf", [], ["", "guests/a.c"]), "guests/a.c");
  });

  it("Windows paths are written with forward slashes", async () => {
    const files = ["C:/repo/guests/a.c"];
    assert.equal(await found("C:\\repo\\out\\a.elf", files, ["", "guests\\a.c"]), files[0]);
    assert.equal(await found("C:\\repo\\a.elf", [], ["D:\\build", "x\\..\\a.c"]), "D:/build/a.c");
  });

  it("the longest prefix of the source map wins, and whole names only", async () => {
    const map = { "/build": "/one", "/build/deep": "/two" };
    const at = (path: string) => found("/a.elf", [], [path, "a.c"], map);
    assert.equal(await at("/build/x"), "/one/x/a.c");
    assert.equal(await at("/build/deep/x"), "/two/x/a.c");
    assert.equal(await at("/building"), "/building/a.c");
  });
});
