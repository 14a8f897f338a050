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
  role: number;
  unsync: boolean;
  obsolete: boolean;
}

/** Tells which entries of a shadow page are not, with the tables they shadow, as at the last check. */
export class UnchangedPages {
  private readonly seen = new WeakMap<ShadowPage, Seen>();
  /** Scratch: entries that changed. */
  private readonly changed: number[] = [];

  constructor(private readonly state: MmuState) {}

  /**
   * Indices of the entries that changed since the last call for this page, in a list that the next call
   * overwrites; undefined when all must be looked at. Remembers what is there now.
   */
  changedIn(page: ShadowPage): readonly number[] | undefined {
    const { state, changed } = this;
    const known = this.seen.get(page);
    const now = known ?? newSeen();
    if (!known) this.seen.set(page, now);
    const obsolete = state.isObsolete(page);
    const same = now.role === page.role && now.unsync === page.unsync && now.obsolete === obsolete;
    now.role = page.role;
    now.unsync = page.unsync;
    now.obsolete = obsolete;
    changed.length = 0;
    update(state.words, 2 * page.base, now.sptes, changed);
    const before = changed.length;
    update(state.words, this.tableOf(page), now.gptes, changed);
    // Which sptes stand for a gpte depends on the size of gptes: one that changed has all looked at.
    const gpteChanged = changed.length > before;
    return known && same && !gpteChanged ? changed : undefined;
  }

  /** First word of the guest table, -1 when the page has none or it is not resident. */
  private tableOf(page: ShadowPage): number {
    if (!page.hasGptes) return -1;
    const offset = this.state.guest.peekOffset(page.gfn);
    return offset === NO_FRAME ? -1 : offset / 4;
  }
}

const newSeen = (): Seen => ({
  sptes: new Uint32Array(WORDS),
  gptes: new Uint32Array(WORDS),
  role: -1,
  unsync: false,
  obsolete: false,
});

/** Copies the words that differ and notes their entries. */
function update(words: Uint32Array, from: number, to: Uint32Array, changed: number[]): void {
  if (from < 0) return;
  // Two entries at a time: most are the same, and all of them are compared at each VM entry.
  for (let i = 0; i < WORDS; i += 4) {
    const at = from + i;
    const first = (words[at]! ^ to[i]!) | (words[at + 1]! ^ to[i + 1]!);
    const second = (words[at + 2]! ^ to[i + 2]!) | (words[at + 3]! ^ to[i + 3]!);
    if ((first | second) === 0) continue;
    if (first !== 0) changed.push(i >> 1);
    if (second !== 0) changed.push((i >> 1) + 1);
    for (let k = 0; k < 4; k++) to[i + k] = words[at + k]!;
  }
}
