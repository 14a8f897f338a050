// A page object over the VS Code workbench: each wait is on what a person can see, and all
// selectors are here.
import { expectSoon } from "./wait.mjs";

const EDITOR = ".editor-instance";

export class Workbench {
  constructor(page) {
    this.page = page;
  }

  /** Opens the workbench and waits until the extension host has started. */
  static async open(page, url) {
    await page.goto(url, { waitUntil: "domcontentloaded" });
    await page.locator(".monaco-workbench").waitFor({ timeout: 60_000 });
    await page.locator(".statusbar .statusbar-item").first().waitFor({ timeout: 60_000 });
    // The driver exists because of --enable-smoke-test-driver.
    await page.waitForFunction(() => typeof globalThis.driver === "object", undefined, {
      timeout: 60_000,
    });
    await page.evaluate(() => globalThis.driver.whenWorkbenchRestored());
    return new Workbench(page);
  }

  // Commands and quick input

  get quickInput() {
    return this.page.locator('.quick-input-widget input[type="text"]').first();
  }

  /** Runs a command by its title, for instance "Debug: Start Debugging". */
  async command(title) {
    await this.quickAccess("F1", `>${title}`);
    // The first row is the most recent or the best match, not always the one asked for.
    await this.pick((label) => label === title || label.split(", ").includes(title), title);
  }

  /** Chooses a row of the open quick pick by its accessible label. */
  async pick(matches, what) {
    const rows = this.page.locator(".quick-input-list .monaco-list-row");
    // Rows of the list before may still be there: then the one that was found is gone when it is clicked.
    await expectSoon(async () => {
      const labels = await rows.evaluateAll((all) =>
        all.map((row) => row.getAttribute("aria-label") ?? ""),
      );
      const index = labels.findIndex(matches);
      if (index < 0) return false;
      await rows.nth(index).click({ timeout: 3000 });
      return true;
    }, `the row "${what}"`);
  }

  /** Answers the input box with this title, the last that is asked. */
  async answer(title, text) {
    await this.answerStep(title, text);
    await this.quickInput.waitFor({ state: "hidden" });
  }

  /** Answers an input box that another follows. */
  async answerStep(title, text) {
    await this.page.locator(".quick-input-widget").filter({ hasText: title }).waitFor();
    await this.quickInput.fill(text);
    await this.page.keyboard.press("Enter");
  }

  /** Opens quick access by its key, once an earlier one has gone, and types into it. */
  async quickAccess(key, text) {
    await this.quickInput.waitFor({ state: "hidden" });
    await this.page.keyboard.press(key);
    await this.quickInput.waitFor({ state: "visible" });
    await this.quickInput.fill(text);
  }

  /** Opens a file of the workspace at a line. */
  async openFile(name, line) {
    await this.quickAccess("Control+P", `${name}:${line}`);
    await this.pick((label) => label.startsWith(name), name);
    await this.tab(name).waitFor();
    await this.lineNumber(line).waitFor();
  }

  tab(name) {
    return this.page.locator(`.tabs-container .tab[data-resource-name="${name}"]`);
  }

  // Editor

  lineNumber(line) {
    return this.page.locator(`${EDITOR} .line-numbers:text-is("${line}")`).first();
  }

  /** Sets or clears a breakpoint by a click in the margin, as a person would. */
  async toggleBreakpoint(line) {
    const margin = await this.page.locator(`${EDITOR} .glyph-margin`).first().boundingBox();
    // Not there while the editor is still scrolling to it.
    const row = await expectSoon(() => this.lineNumber(line).boundingBox(), `line ${line}`);
    await this.page.mouse.click(margin.x + margin.width / 2, row.y + row.height / 2);
    // Away again, or the margin's own hover hides what is below.
    await this.page.mouse.move(margin.x + 400, row.y + 200);
  }

  // Debugging

  /** Opens Run and Debug, waits for a view of the extension, and starts what is chosen there. */
  async startDebugging(view) {
    await this.page.keyboard.press("Control+Shift+D");
    await this.pane(view).first().waitFor({ timeout: 60_000 });
    // The key does nothing before the workbench has read the launch configurations, and only the
    // button to stop with tells that it has done something.
    const stop = this.page.locator(".part.sidebar .codicon-debug-stop").first();
    await expectSoon(
      async () => {
        await this.page.keyboard.press("F5");
        await stop.waitFor({ timeout: 20_000 });
        return true;
      },
      "debugging",
      90_000,
    );
  }

  /** Starts a launch configuration by its name. */
  async startConfiguration(name) {
    // The list is empty before the workbench has read the launch configurations.
    await expectSoon(
      async () => {
        await this.quickAccess("Control+P", `debug ${name}`);
        const row = this.page.locator(".quick-input-list .monaco-list-row", { hasText: name });
        const there = await row
          .first()
          .waitFor({ timeout: 3_000 })
          .then(() => true)
          .catch(() => false);
        if (there) await row.first().click();
        else await this.page.keyboard.press("Escape");
        return there;
      },
      `the configuration "${name}"`,
      60_000,
    );
  }

  async continue() {
    await this.page.keyboard.press("F5");
  }

  /** Waits until the top frame is stopped, at `line` if one is given, with a text like `says`. */
  async waitForStopped({ line, says, timeout = 30_000 } = {}) {
    const frame = this.rows("Call Stack").filter({ has: this.page.locator(".stack-frame") });
    await frame.first().waitFor({ timeout });
    if (line !== undefined) {
      await expectSoon(
        async () =>
          new RegExp(`\\bline ${line}\\b`).test(
            (await frame.first().getAttribute("aria-label")) ?? "",
          ),
        async () =>
          `stopped at line ${line}, not at ${await frame.first().getAttribute("aria-label")}`,
        timeout,
      );
    }
    if (says) {
      // Its title bar tells why the guest stopped.
      const callStack = () => this.pane("Call Stack").textContent();
      await expectSoon(
        async () => says.test(await callStack()),
        async () => `${says} in the call stack: ${await callStack()}`,
        timeout,
      );
    }
  }

  /** What the editor says about the exception at the stopped line. */
  async exceptionText() {
    return (await this.page.locator(".exception-widget").first().textContent()) ?? "";
  }

  async waitForEnded() {
    await this.rows("Call Stack").first().waitFor({ state: "detached" });
    await this.page.locator(".statusbar.debugging").first().waitFor({ state: "detached" });
  }

  /** F10 is a browser key too, so the command is the sure way. */
  async stepOver() {
    await this.command("Debug: Step Over");
  }

  // Views of the side bar

  /** A view by its title. */
  pane(title) {
    return this.page
      .locator(".pane")
      .filter({ has: this.page.locator(`.pane-header[aria-label^="${title}"]`) });
  }

  rows(title) {
    return this.pane(title).locator(".monaco-list-row");
  }

  async texts(title) {
    return (await this.rows(title).allInnerTexts()).map((text) => text.replace(/\s+/g, " ").trim());
  }

  /**
   * Rows of an extension's own tree as "label description": innerText has no space between the two,
   * and the accessible name is what the row is spoken as.
   */
  async treeRows(title) {
    return this.rows(title).evaluateAll((all) =>
      all.map((row) =>
        [".label-name", ".label-description"]
          .map((part) => row.querySelector(part)?.textContent?.trim())
          .filter(Boolean)
          .join(" "),
      ),
    );
  }

  async spokenRows(title) {
    return this.rows(title).evaluateAll((all) =>
      all.map((row) => row.getAttribute("aria-label") ?? ""),
    );
  }

  async setExpanded(title, expanded) {
    const header = this.pane(title).locator(".pane-header").first();
    await header.waitFor();
    if ((await header.getAttribute("aria-expanded")) !== String(expanded)) await header.click();
    await expectSoon(
      async () => (await header.getAttribute("aria-expanded")) === String(expanded),
      `${title} ${expanded ? "open" : "closed"}`,
    );
  }

  /** Waits for a row, scrolling down and up again: what is out of view is not in the page. */
  async waitForRow(title, matches) {
    let step = 60;
    let before = "";
    await expectSoon(
      async () => {
        const rows = await this.texts(title);
        if (rows.some((row) => matches.test(row))) return true;
        if (rows.join() === before) step = -step;
        before = rows.join();
        await this.pane(title).locator(".pane-body").hover();
        await this.page.mouse.wheel(0, step);
        return false;
      },
      async () => `${matches} in ${title}: ${await this.texts(title)}`,
      40_000,
    );
  }

  /** Opens or closes a tree row. */
  async setRowExpanded(title, text, expanded) {
    const row = this.rows(title).filter({ hasText: text }).first();
    await row.waitFor();
    await expectSoon(
      async () => {
        if ((await row.getAttribute("aria-expanded")) === String(expanded)) return true;
        await row.locator(".monaco-tl-twistie").click();
        return false;
      },
      `${text} ${expanded ? "open" : "closed"} in ${title}`,
    );
  }

  /** A button of a view's title bar; those show when the view is hovered. */
  async paneAction(title, name) {
    await this.pane(title).locator(".pane-header").hover();
    await this.pane(title).getByRole("button", { name }).click();
  }

  /** An inline action of a tree row. */
  async rowAction(title, text, name) {
    const row = this.rows(title).filter({ hasText: text }).first();
    await row.hover();
    await row.getByRole("button", { name }).click();
  }

  /** An entry of a tree row's context menu. */
  async rowMenu(title, text, name) {
    // A tooltip of the row that the mouse happens to rest on would be in the way. One that comes late goes
    // with the next movement only.
    await expectSoon(async () => {
      await this.page.mouse.move(1, 1);
      await this.page.mouse.move(9, 1);
      return (await this.page.locator(".workbench-hover:visible").count()) === 0;
    }, "no tooltip");
    await this.rows(title).filter({ hasText: text }).first().click({ button: "right" });
    // The menu takes no click in the moment after it opened.
    await this.page.locator(".monaco-menu").getByRole("menuitem", { name }).hover();
    await this.page.keyboard.press("Enter");
    await this.page.locator(".monaco-menu").waitFor({ state: "hidden" });
  }

  /** Drags the edge of the side bar. */
  async widenSideBar(width) {
    const bar = await this.page.locator(".part.sidebar").boundingBox();
    const y = bar.y + bar.height / 2;
    await this.page.mouse.move(bar.x + bar.width, y);
    await this.page.mouse.down();
    await this.page.mouse.move(bar.x + width, y, { steps: 5 });
    await this.page.mouse.up();
  }

  /** Drags the lower edge of a view. */
  async growPane(title, pixels) {
    const pane = await this.pane(title).boundingBox();
    const x = pane.x + pane.width / 2;
    const y = pane.y + pane.height;
    await this.page.mouse.move(x, y);
    await this.page.mouse.down();
    await this.page.mouse.move(x, y + pixels, { steps: 5 });
    await this.page.mouse.up();
  }

  async addWatch(expression) {
    await this.setExpanded("Watch", true);
    await this.paneAction("Watch", "Add Expression");
    const input = this.pane("Watch").locator(".monaco-inputbox input, .monaco-inputbox textarea");
    await input.first().waitFor();
    await input.first().fill(expression);
    await this.page.keyboard.press("Enter");
    await this.rows("Watch").filter({ hasText: expression }).waitFor();
  }

  async addFunctionBreakpoint(text) {
    await this.setExpanded("Breakpoints", true);
    await this.paneAction("Breakpoints", "Add Function Breakpoint");
    const input = this.pane("Breakpoints").locator(".monaco-inputbox input").first();
    await input.waitFor();
    await input.fill(text);
    await this.page.keyboard.press("Enter");
    await this.rows("Breakpoints").filter({ hasText: text }).waitFor();
  }

  /** Ticks or clears a row of the Breakpoints view, exception filters among them. */
  async setBreakpointEnabled(text, enabled) {
    await this.setExpanded("Breakpoints", true);
    await this.waitForRow("Breakpoints", new RegExp(text));
    const box = this.rows("Breakpoints")
      .filter({ hasText: text })
      .first()
      .locator("input, .monaco-checkbox")
      .first();
    await box.waitFor();
    // By the keyboard: a row at the edge of the list is half hidden from the mouse.
    if ((await box.isChecked()) !== enabled) await box.press("Space");
  }

  statusBar() {
    return this.page.locator(".statusbar");
  }

  /** Points at a tree row until its tooltip says what it should. */
  async waitForTooltip(title, text, matches) {
    const label = this.rows(title).filter({ hasText: text }).first().locator(".label-name");
    const box = await label.boundingBox();
    const hovers = this.page.locator(".workbench-hover, .monaco-hover");
    // A first move leaves any hover that is open, the second is the one it reacts to.
    await this.page.mouse.move(box.x + 10, box.y + 60);
    await this.page.mouse.move(box.x + 10, box.y + box.height / 2, { steps: 4 });
    await expectSoon(
      async () => (await hovers.allTextContents()).some((said) => matches.test(said)),
      async () => `${matches} in a tooltip: ${await hovers.allTextContents()}`,
    );
  }

  /** What notifications say, newest first; they are cleared. Under the test driver none pops up by itself. */
  async takeNotifications() {
    const center = this.page.locator(".notifications-center");
    // By the mouse: a command would take the focus from what is being done.
    await this.page.locator('[id="status.notifications"] a').click();
    await center.waitFor();
    const texts = await center.locator(".notification-list-item-message").allTextContents();
    const done = texts.length > 0 ? "clear-all" : "hide";
    await center.locator(`.codicon-notifications-${done}`).click();
    await center.waitFor({ state: "hidden" });
    return texts;
  }

  /** Waits for a notification that says so. */
  async waitForNotification(matches) {
    const seen = [];
    await expectSoon(
      async () => {
        seen.push(...(await this.takeNotifications()));
        return seen.some((text) => matches.test(text));
      },
      () => `${matches} in a notification: ${seen}`,
    );
  }
}
