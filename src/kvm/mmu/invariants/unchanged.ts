import { NO_FRAME } from "../../guest-memory";
import { ENTRIES, type ShadowPage } from "../shadow-page";
import type { MmuState } from "../state";

/** Words of a table of 8-byte entries. */
const WORDS = 2 * ENTRIES;

/** A page as it was when its entries were last looked at. */
interface Seen {
  readonly sptes: Uint32Array;
  /** The guest table it shadows, zeros where it has none. */
  readonly gptes: Uint32Array;
  flags: string;
}

/** Tells which shadow pages are, word for word and with the tables they shadow, as at the last check. */
export class UnchangedPages {
  private readonly seen = new WeakMap<ShadowPage, Seen>();

  constructor(private readonly state: MmuState) {}

  /** True when nothing has changed since the last call for this page; remembers what is there now. */
  has(page: ShadowPage): boolean {
    const { state } = this;
    const flags = `${page.role} ${page.unsync} ${page.unsyncChildren} ${state.isObsolete(page)}`;
    let known = this.seen.get(page);
    const fresh = known === undefined;
    if (!known) {
      known = { sptes: new Uint32Array(WORDS), gptes: new Uint32Array(WORDS), flags };
      this.seen.set(page, known);
    }
    const same = flags === known.flags;
    known.flags = flags;
    // Both are copied whatever the first says.
    const sptes = copyIfDifferent(state.words, 2 * page.base, known.sptes);
    const gptes = copyIfDifferent(state.words, this.tableOf(page), known.gptes);
    return !fresh && same && !sptes && !gptes;
  }

  /** First word of the guest table, -1 when the page has none or it is not resident. */
  private tableOf(page: ShadowPage): number {
    if (!page.hasGptes) return -1;
    const offset = this.state.guest.peekOffset(page.gfn);
    return offset === NO_FRAME ? -1 : offset / 4;
  }
}

/** Copies when a word differs, and says so. */
function copyIfDifferent(words: Uint32Array, from: number, to: Uint32Array): boolean {
  if (from < 0) return false;
  for (let i = 0; i < WORDS; i++) {
    if (words[from + i] === to[i]) continue;
    to.set(words.subarray(from, from + WORDS));
    return true;
  }
  return false;
}
