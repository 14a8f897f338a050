// The views as they are under another engine than today's shadow paging: EPT, and the kernels of 2010.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { launchBrowser } from "../browser.mjs";
import { output, packageExtension, root } from "../packaging.mjs";
import { startServer } from "../server.mjs";
import { stillSettings } from "../settings.mjs";
import { expectSoon } from "../wait.mjs";
import { Workbench } from "../workbench.mjs";

const tour = path.join(root, "media/guests/paging-tour");

/** A workspace whose launch configurations run the tour with these options, by name. */
function workspaceWith(options) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "penumbra-engines-"));
  const configurations = Object.entries(options).map(([name, keys]) => ({
    type: "penumbra",
    request: "launch",
    name,
    program: path.join(tour, "paging-tour.elf"),
    ...keys,
  }));
  mkdirSync(path.join(folder, ".vscode"));
  writeFileSync(
    path.join(folder, ".vscode/launch.json"),
    JSON.stringify({ version: "0.2.0", configurations }),
  );
  const file = path.join(folder, "engines.code-workspace");
  writeFileSync(file, JSON.stringify({ folders: [{ path: "." }, { path: tour }], settings: {} }));
  return { folder, file };
}

describe("the views under other engines", function () {
  this.bail(true);
  let server;
  let browser;
  let page;
  let workbench;
  let workspace;

  before(async function () {
    this.timeout(300_000);
    const { file } = packageExtension();
    workspace = workspaceWith({ tdp: { mmu: "ept" }, first: { mmu: "shadow", era: "2010" } });
    server = await startServer({ settings: stillSettings, vsix: [file] });
    browser = await launchBrowser();
    page = await browser.newPage({ viewport: { width: 1640, height: 1360 } });
    workbench = await Workbench.open(
      page,
      server.url({ workspace: workspace.file, open: path.join(tour, "tour.c") }),
    );
    await workbench.tab("tour.c").waitFor();
    await page.keyboard.press("Control+Shift+D");
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
    if (workspace) rmSync(workspace.folder, { recursive: true, force: true });
  });
  afterEach(async function () {
    const name = this.currentTest.title.replace(/\W+/g, "-");
    const state = this.currentTest.state;
    await page?.screenshot({ path: path.join(output, `engines-${state}-${name}.png`) });
  });

  /** Starts a configuration by name, and goes on to the tour's first INVLPG. */
  async function toInvlpg(name, roots) {
    await workbench.startConfiguration(name);
    await workbench.waitForStopped({ says: /before the first instruction/i, timeout: 60_000 });
    await workbench.setBreakpointEnabled("INVLPG", true);
    await workbench.widenSideBar(760);
    for (const view of ["Variables", "Watch", "Breakpoints"])
      await workbench.setExpanded(view, false);
    for (const view of [roots, "Sptes", "Unsync Pages"]) await workbench.setExpanded(view, true);
    await workbench.continue();
    await workbench.waitForStopped({ says: /INVLPG of gva/ });
  }

  it("EPT has its own tree, and says why no page is unsync", async function () {
    this.timeout(180_000);
    await toInvlpg("tdp", "EPT Roots");
    await workbench.statusBar().filter({ hasText: "vcpu 0 · ept" }).waitFor();
    await workbench.growPane("EPT Roots", 120);
    for (const level of ["level 4", "level 3", "level 2", "level 1"])
      await workbench.setRowExpanded("EPT Roots", level, true);
    const [top] = await workbench.treeRows("EPT Roots");
    assert.match(top, /^vcpu 0 EPT, gpa → hpa · level 4 · direct/);
    await workbench.waitForRow("EPT Roots", /spte 0x[0-9a-f]+ R W X WB IPAT A D/);
    const unsync = await workbench.pane("Unsync Pages").textContent();
    assert.match(unsync, /Empty by nature under EPT/);
  });

  it("a host action on a row drops the sptes of its page, and the views mark it", async () => {
    const [row] = await workbench.treeRows("Sptes");
    const [frame] = row.split(" · ");
    await workbench.rowMenu("Sptes", frame, "Host Action…");
    await workbench.pick((label) => label.startsWith("Migrate"), "Migrate");
    // What is gone follows at the end, until the next stop.
    await workbench.waitForRow("Sptes", new RegExp(`^${frame} .*gone; was 0x`));
    await workbench.waitForNotification(/is in another host frame now; 1 spte dropped/);
  });

  it("a slot is made, refused a place that is taken, made to log, and deleted from its row", async () => {
    await workbench.setExpanded("Sptes", false);
    await workbench.setExpanded("Memslots", true);
    // From the palette no row says which slot is meant.
    await workbench.command("Penumbra: Get Dirty Log");
    await workbench.pick((label) => label.startsWith("slot 0"), "slot 0");
    await workbench.waitForNotification(/Slot 0 keeps no dirty log: set its flag 1 \(ENOENT\)/);
    await workbench.paneAction("Memslots", "New Slot…");
    await workbench.answerStep("New Slot (1/3)", "gpa:0x8000000");
    await workbench.answerStep("New Slot (2/3)", "2M");
    await workbench.answer("New Slot (3/3)", "");
    await workbench.waitForRow("Memslots", /slot 1 ?gpa 0x8000000–0x81fffff · 2 MiB/);
    await workbench.rowMenu("Memslots", "slot 1", "Move Slot…");
    await workbench.answer("Move Slot 1", "gpa:0x200000");
    await workbench.waitForNotification(/overlaps slot 0 .*choose another address \(EEXIST\)/);
    await workbench.rowMenu("Memslots", "slot 1", "Set Flags of Slot…");
    await workbench.pick((label) => label.startsWith("log-dirty"), "log-dirty");
    await page.keyboard.press("Enter");
    await workbench.waitForRow("Memslots", /slot 1.* log dirty pages · dirty 0 of 512/);
    await workbench.rowMenu("Memslots", "slot 1", "Get Dirty Log");
    await workbench.waitForNotification(/^0 of 512 pages dirty\.$/);
    await workbench.rowMenu("Memslots", "slot 1", "Delete Slot…");
    await page.locator(".monaco-dialog-box").getByRole("button", { name: "Delete" }).click();
    await workbench.waitForRow("Memslots", /slot 1.*gone; was/);
    await workbench.command("Debug: Stop");
    await workbench.waitForEnded();
  });

  it("the console completes its commands", async () => {
    await workbench.startConfiguration("first");
    await workbench.waitForStopped({ says: /before the first instruction/i, timeout: 60_000 });
    await workbench.command("Debug Console: Focus on Debug Console View");
    await page.keyboard.type("host mi");
    const offered = page.locator(".suggest-widget").getByText("migrate");
    // Asked for, as who types faster than the answer comes gets none by itself.
    await expectSoon(async () => {
      await page.keyboard.press("Control+Space");
      await offered.waitFor({ timeout: 5000 });
      return true;
    }, "the verb that begins so");
    await page.keyboard.press("Tab");
    await page.keyboard.type(" gpa:0x3000");
    await page.keyboard.press("Enter");
    await page
      .locator(".repl .monaco-list-row")
      .filter({ hasText: /hva 0x7f0000003000 is not resident/ })
      .first()
      .waitFor();
    await workbench.command("Debug: Stop");
    await workbench.waitForEnded();
  });

  it("the kernels of 2010 have their own fields and names", async function () {
    this.timeout(120_000);
    await toInvlpg("first", "Shadow Roots");
    await workbench.statusBar().filter({ hasText: "shadow of 2010 · 2 unsync" }).waitFor();
    await workbench.waitForTooltip(
      "Shadow Roots",
      "level 4",
      /cr4_pae = 1.*nxe = 1.*multimapped = false.*slot_bitmap = 0x/s,
    );
  });
});
