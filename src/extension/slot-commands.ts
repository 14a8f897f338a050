import * as vscode from "vscode";
import type { GuestTree } from "./guest-tree";
import { selectedRow } from "./row-commands";
import type { Sessions } from "./sessions";
import type { Row } from "./tree-model";

/** The line for the console that does it, from what the person is asked; `undefined` when they cancel. */
type Ask = (slot: SlotRow) => Promise<string | undefined>;

interface SlotRow {
  /** Empty for a slot that is to be made. */
  readonly id: string;
  /** `gpa:0x0`. */
  readonly gpa: string;
  readonly description: string;
}

/** Commands of the Memslots view that act on one slot, by their ids; each is a command of the console too. */
const SLOT_COMMANDS: Readonly<Record<string, Ask>> = {
  "penumbra.moveSlot": async ({ id, gpa }) => {
    const at = await vscode.window.showInputBox({
      title: `Move Slot ${id}`,
      prompt: "Its new first guest physical address, a multiple of 0x1000",
      value: gpa,
      valueSelection: [gpa.length, gpa.length],
      validateInput: wrongAddress,
    });
    return at && `slot move ${id} ${at.trim()}`;
  },
  "penumbra.setSlotFlags": async ({ id, description }) => {
    const items = FLAGS.map(({ words, ...flag }) => ({
      ...flag,
      picked: description.split(" · ").some((part) => part.split(", ").includes(words)),
    }));
    const chosen = await vscode.window.showQuickPick(items, {
      title: `Flags of Slot ${id}`,
      placeHolder: "Flags that are ticked are set, the others cleared",
      canPickMany: true,
    });
    return chosen && `slot flags ${id} ${chosen.map(({ label }) => label).join(" ") || "none"}`;
  },
  "penumbra.deleteSlot": async ({ id, description }) => {
    const answer = await vscode.window.showWarningMessage(
      `Delete slot ${id}?`,
      { modal: true, detail: `${description}\n\nWhat its memory holds is lost.` },
      "Delete",
    );
    return answer && `slot delete ${id}`;
  },
  "penumbra.getDirtyLog": async ({ id }) => `log get ${id}`,
  "penumbra.clearDirtyLog": async ({ id }) => `log clear ${id}`,
};

/** `words`: how the row of a slot says it. */
const FLAGS = [
  {
    label: "log-dirty",
    words: "log dirty pages",
    detail: "KVM_MEM_LOG_DIRTY_PAGES: which pages are written is recorded.",
  },
  {
    label: "ro",
    words: "read-only",
    detail: "KVM_MEM_READONLY: a write is an MMIO exit. Only a new slot can have it.",
  },
] as const;

/** "New Slot…" and the commands on the rows of slots. */
export function registerSlotCommands(
  sessions: Sessions,
  trees: readonly GuestTree[],
): vscode.Disposable {
  const slotsOnly = trees.filter(({ definition }) => definition.name === "memslots");
  const tell = async (line: string | undefined): Promise<void> => {
    if (!line) return;
    try {
      const answer: { readonly result: string } | undefined = await sessions.session?.customRequest(
        "evaluate",
        { expression: line, context: "repl" },
      );
      if (answer) await vscode.window.showInformationMessage(answer.result);
    } catch (refusal) {
      const text = refusal instanceof Error ? refusal.message : String(refusal);
      await vscode.window.showWarningMessage(text);
    }
  };
  const onSlot =
    (ask: Ask) =>
    async (given?: Row): Promise<void> => {
      const row = given ?? selectedRow(slotsOnly) ?? (await chosenSlot(slotsOnly));
      const id = row && /^memslots\/(\d+)/.exec(row.node.id)?.[1];
      if (!row || id === undefined) return;
      const { memoryReference: gpa = "gpa:0x0", description } = topOf(row).node;
      await tell(await ask({ id, gpa, description }));
    };
  return vscode.Disposable.from(
    vscode.commands.registerCommand("penumbra.createSlot", async () => tell(await newSlot())),
    ...Object.entries(SLOT_COMMANDS).map(([id, ask]) =>
      vscode.commands.registerCommand(id, onSlot(ask)),
    ),
  );
}

const topOf = (row: Row): Row => (row.parent ? topOf(row.parent) : row);

/** Which slot, where no row says so: the palette knows what is selected, not what has the focus. */
async function chosenSlot(trees: readonly GuestTree[]): Promise<Row | undefined> {
  const rows = (await Promise.all(trees.map((tree) => tree.getChildren()))).flat();
  const items = rows.map((row) => ({
    label: row.node.label,
    description: row.node.description,
    row,
  }));
  const chosen = await vscode.window.showQuickPick(items, { title: "Which Slot?" });
  return chosen?.row;
}

async function newSlot(): Promise<string | undefined> {
  const at = await vscode.window.showInputBox({
    title: "New Slot (1/3): Address",
    prompt: "Its first guest physical address, a multiple of 0x1000",
    placeHolder: "gpa:0x8000000",
    validateInput: wrongAddress,
  });
  if (!at) return undefined;
  const size = await vscode.window.showInputBox({
    title: "New Slot (2/3): Size",
    prompt: "A multiple of 4K",
    placeHolder: "1M",
    value: "1M",
    validateInput: (text) =>
      /^\s*(0x[0-9a-f]+|\d+)\s*[kmg]?\s*$/i.test(text)
        ? undefined
        : "A size such as 64K, 1M or 0x200000.",
  });
  if (!size) return undefined;
  const options = await vscode.window.showQuickPick(
    [
      ...FLAGS.map(({ label, detail }) => ({ label, detail })),
      { label: "Backing", kind: vscode.QuickPickItemKind.Separator },
      ...BACKINGS,
    ],
    {
      title: "New Slot (3/3): Flags and Backing",
      placeHolder: "Nothing ticked: writable, of anonymous memory in 4 KiB pages",
      canPickMany: true,
    },
  );
  const words = options?.map(({ label }) => label).join(" ");
  return words === undefined
    ? undefined
    : `slot create ${at.trim()} ${size.replace(/\s/g, "")} ${words}`;
}

const BACKINGS = [
  { label: "thp", detail: "Anonymous memory in transparent huge pages." },
  { label: "hugetlb-2m", detail: "Huge pages of 2 MiB, set aside now." },
  { label: "hugetlb-1g", detail: "Huge pages of 1 GiB, set aside now." },
  { label: "file", detail: "The page cache of a file." },
] as const;

const wrongAddress = (text: string): string | undefined =>
  /^\s*(gpa:)?(0x[0-9a-f]+|\d+)\s*$/i.test(text) ? undefined : "An address such as gpa:0x8000000.";
