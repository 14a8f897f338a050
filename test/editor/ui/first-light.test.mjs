// What a person sees who opens the samples with the installed package and presses F5.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { launchBrowser } from "../browser.mjs";
import { output, packageExtension, root } from "../packaging.mjs";
import { startServer } from "../server.mjs";
import { stillSettings } from "../settings.mjs";
import { expectSoon } from "../wait.mjs";
import { Workbench } from "../workbench.mjs";

const tour = path.join(root, "media/guests/paging-tour");
const TREES = ["Shadow Roots", "Sptes", "Unsync Pages", "Memslots"];

/** Lines move when the guest is edited; what they say does not. */
function lineOf(file, text) {
  const lines = readFileSync(path.join(tour, file), "utf8").split("\n");
  const at = lines.findIndex((line) => line.includes(text));
  assert.ok(at >= 0, `${file} has a line with "${text}"`);
  return at + 1;
}

describe("first light, from the installed package", function () {
  // One session from beginning to end: after a failure the rest would fail for its sake.
  this.bail(true);
  let server;
  let browser;
  let page;
  let workbench;

  before(async function () {
    this.timeout(300_000);
    const { file } = packageExtension();
    server = await startServer({ settings: stillSettings, vsix: [file] });
    browser = await launchBrowser();
    page = await browser.newPage({ viewport: { width: 1640, height: 1360 } });
    workbench = await Workbench.open(
      page,
      server.url({
        workspace: path.join(root, "media/samples/samples.code-workspace"),
        open: path.join(tour, "tour.c"),
      }),
    );
    await workbench.tab("tour.c").waitFor();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });
  afterEach(async function () {
    const name = this.currentTest.title.replace(/\W+/g, "-");
    const state = this.currentTest.state;
    await page?.screenshot({ path: path.join(output, `first-light-${state}-${name}.png`) });
  });

  it("stops on entry after F5, with all four trees in the side bar", async function () {
    this.timeout(180_000);
    await workbench.startDebugging(TREES[0]);
    await workbench.waitForStopped({ says: /before the first instruction/i });
    await workbench.widenSideBar(620);
    await workbench.setExpanded("Variables", false);
    for (const tree of TREES) await workbench.setExpanded(tree, true);
    await workbench
      .statusBar()
      .filter({ hasText: "tick 0 · vcpu 0 · shadow · 0 unsync" })
      .waitFor();
    await expectSoon(async () => (await workbench.treeRows("Memslots"))[0], "a memslot");
    assert.match((await workbench.treeRows("Memslots"))[0], /slot 0 .*0x0/);
  });

  it("runs to a breakpoint in the source", async () => {
    const line = lineOf("demand-paging.c", "*first = 1;");
    await workbench.openFile("demand-paging.c", line);
    await workbench.toggleBreakpoint(line);
    await workbench.continue();
    await workbench.waitForStopped({ line, says: /breakpoint/i });
    await expectSoon(
      async () => (await workbench.treeRows("Shadow Roots")).length > 1,
      "shadow roots",
    );
  });

  it("watches an address that is not mapped yet", async () => {
    await workbench.addWatch("hpa(0x40000000)");
    await expectSoon(
      async () => /not present at level \d/.test((await workbench.texts("Watch"))[0]),
      async () => `the level at which the walk ends: ${await workbench.texts("Watch")}`,
    );
  });

  it("stops on the guest's own page fault, with cr2 and the error code in words", async () => {
    await workbench.setBreakpointEnabled("Page faults", true);
    await workbench.continue();
    await workbench.waitForStopped({ line: lineOf("demand-paging.c", "*first = 1;") });
    await expectSoon(
      async () => /0x40000000/.test(await workbench.exceptionText()),
      "the exception, beside its line",
    );
    const text = await workbench.exceptionText();
    assert.match(text, /page fault/i);
    assert.match(text, /write/i);
    assert.match(text, /not present/i);
    await workbench.setExpanded("Breakpoints", false);
    await workbench.setExpanded("Sptes", false);
    await workbench.setExpanded("Variables", true);
    for (const scope of ["Locals", "Registers"]) {
      await workbench.setRowExpanded("Variables", scope, false);
    }
    await workbench.setRowExpanded("Variables", "Last event", true);
    await workbench.waitForRow("Variables", /^cr2 = 0x40000000$/);
    await workbench.waitForRow("Variables", /^error = 0x2$/);
    await workbench.setExpanded("Variables", false);
    await workbench.setExpanded("Sptes", true);
  });

  it("shows gpte and spte side by side below the roots", async () => {
    await workbench.growPane("Watch", -90);
    await workbench.growPane("Shadow Roots", 190);
    await workbench.growPane("Unsync Pages", 60);
    for (const level of ["level 4", "level 3", "level 2", "level 1"]) {
      await workbench.setRowExpanded("Shadow Roots", level, true);
    }
    await workbench.waitForRow("Shadow Roots", /gpte 0x[0-9a-f]+ P .*[→≠] spte 0x[0-9a-f]+ P /);
    const spoken = await workbench.spokenRows("Shadow Roots");
    assert.ok(
      spoken.some((row) => /^shadow entry \d+, level 1, .*present, /.test(row)),
      spoken.join("\n"),
    );
  });

  it("watches the same address once guest and hypervisor have mapped it", async () => {
    await workbench.setBreakpointEnabled("Page faults", false);
    // The instruction that faulted is run again, and would stop at its own line once more.
    await workbench.toggleBreakpoint(lineOf("demand-paging.c", "*first = 1;"));
    const line = lineOf("demand-paging.c", "u64 zero = *second;");
    await workbench.toggleBreakpoint(line);
    await workbench.continue();
    await workbench.waitForStopped({ line });
    await expectSoon(
      async () => /= hpa:0x[0-9a-f]+/.test((await workbench.texts("Watch"))[0]),
      async () => `a host address: ${await workbench.texts("Watch")}`,
    );
  });

  it("lists the sptes of an address, and shows them in Shadow Roots", async () => {
    await workbench.command("Penumbra: Go to Address…");
    await workbench.answer("Go to Address", "gva:0x40000000");
    await expectSoon(
      async () => (await workbench.treeRows("Sptes")).some((row) => row.includes("0x40000000")),
      async () => `the spte of gva 0x40000000: ${await workbench.treeRows("Sptes")}`,
    );
    await expectSoon(
      async () =>
        (await workbench.treeRows("Shadow Roots")).some((row) => row.includes("0x40000000")),
      async () => `the same in Shadow Roots: ${await workbench.treeRows("Shadow Roots")}`,
    );
    await workbench.waitForTooltip("Sptes", "0x40000000", /writable.*gpte/is);
    await workbench.command("Penumbra: Clear the Filter of Sptes");
  });

  it("takes a row to Watch, to a breakpoint and to memory", async () => {
    const row = /^spte\((0x[0-9a-f]+), 1\) = 0x[0-9a-f]+ → /;
    await workbench.rowAction("Sptes", "gfn 0x100 · 0x100000", "Add to Watch");
    await workbench.waitForRow("Watch", row);
    await workbench.rowMenu("Sptes", "gfn 0x100 · 0x100000", "Break on Write to This Entry");
    await workbench.setExpanded("Breakpoints", true);
    await workbench.waitForRow("Breakpoints", /^spte hpa:0x[0-9a-f]+ w$/);
    await workbench.rowMenu("Sptes", "gfn 0x100 · 0x100000", "Open Memory Here");
    const bytes = page.locator(".editor-instance .view-line", { hasText: /^[0-9a-f]{16}\s/ });
    await bytes.first().waitFor();
    await page.screenshot({ path: path.join(output, "first-light-memory.png") });
    await workbench.command("View: Close Editor");
    await workbench.setBreakpointEnabled("spte hpa:", false);
  });

  it("stops at an invlpg before it acts, with the page in Unsync Pages", async () => {
    await workbench.addWatch("hpa(0x40277000)");
    await workbench.setBreakpointEnabled("INVLPG", true);
    await workbench.continue();
    await workbench.waitForStopped({ line: lineOf("stale-translation.c", "invlpg(remapped);") });
    await workbench.setExpanded("Breakpoints", false);
    await workbench.growPane("Shadow Roots", 120);
    await workbench.growPane("Unsync Pages", 60);
    await workbench.setRowExpanded("Unsync Pages", "0x40200000", true);
    await workbench.waitForRow("Unsync Pages", /spte maps gfn 0x[0-9a-f]+, gpte .* says gfn/);
  });

  it("sees the entry repaired one step later", async () => {
    await workbench.stepOver();
    await workbench.waitForStopped({
      line: lineOf("stale-translation.c", "u64 with = *remapped;"),
    });
    await expectSoon(
      async () => !(await workbench.texts("Unsync Pages")).some((row) => /spte maps/.test(row)),
      async () => `no stale entry: ${await workbench.texts("Unsync Pages")}`,
    );
  });

  it("sees Unsync Pages empty one step after the sync", async () => {
    await workbench.setBreakpointEnabled("INVLPG", false);
    const line = lineOf("stale-translation.c", "write_control(cr3, kernel_root);");
    await workbench.openFile("stale-translation.c", line);
    await workbench.toggleBreakpoint(line);
    await workbench.continue();
    await workbench.waitForStopped({ line });
    await workbench.stepOver();
    await expectSoon(
      async () => (await workbench.pane("Unsync Pages").textContent()).includes("No unsync pages"),
      async () => `no unsync pages: ${await workbench.treeRows("Unsync Pages")}`,
    );
    await expectSoon(
      async () => !(await workbench.treeRows("Shadow Roots")).some((row) => /unsync/.test(row)),
      async () => `nothing unsync in Shadow Roots: ${await workbench.treeRows("Shadow Roots")}`,
    );
  });

  it("ends when told to, and the views say so", async () => {
    await workbench.command("Debug: Stop");
    await workbench.waitForEnded();
    await workbench.pane("Shadow Roots").getByText("No guest is being debugged.").waitFor();
    assert.deepEqual(await workbench.takeNotifications(), []);
  });
});
