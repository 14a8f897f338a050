import type { Trial } from "./mmu-scenarios";
import type { MmuWorld } from "./mmu-world";

/** 8-byte entries that the hypervisor read. */
export interface Reads {
  readonly gptes: number;
  readonly sptes: number;
}

/**
 * Counts what is read of a world's memory while `action` runs. The words are put behind a proxy for so
 * long; nothing in the engine knows of it. The two halves of one entry count once.
 */
function countReads({ host, vm }: MmuWorld, action: () => void): Reads {
  const plain = host.words;
  const sptesFrom = host.zones.mmu.offset / 4;
  let gptes = 0;
  let sptes = 0;
  let last = -1;
  const counting = new Proxy(plain, {
    get(words, key) {
      const word = typeof key === "string" ? Number(key) : Number.NaN;
      if (Number.isInteger(word)) {
        if (word >>> 1 !== last) word >= sptesFrom ? sptes++ : gptes++;
        last = word >>> 1;
        return words[word];
      }
      const member: unknown = Reflect.get(words, key);
      return typeof member === "function" ? member.bind(words) : member;
    },
    set(words, key, value: number) {
      last = -1;
      words[Number(key)] = value;
      return true;
    },
  });
  const { state } = vm.core;
  const install = (words: Uint32Array): void => {
    for (const owner of [host, state])
      Object.defineProperty(owner, "words", { value: words, configurable: true, writable: true });
  };
  install(counting);
  try {
    action();
  } finally {
    install(plain);
  }
  return { gptes, sptes };
}

/** Operations whose reads are averaged. */
const OPERATIONS = 64;

/** Entries read for one operation, on average. */
export function readsOf({ world, times, prepare, operate }: Trial): Reads {
  const some = Math.min(times, OPERATIONS);
  let gptes = 0;
  let sptes = 0;
  for (let n = 0; n < some; n++) {
    prepare?.(n);
    const reads = countReads(world, () => operate(n));
    gptes += reads.gptes;
    sptes += reads.sptes;
  }
  return { gptes: gptes / some, sptes: sptes / some };
}
