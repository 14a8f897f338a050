import { DATA, ROOTS, SLOT_PAGES } from "../layout";
import type { Scene } from "./scene";

const P_W_U = 0x7n;
const A_D = 0x60n;
export const NX = 1n << 63n;

/** Bits that mean something in entries of 8 bytes: each is flipped now and then. */
const WIDE_FLAGS = [0x1n, 0x2n, 0x4n, 0x8n, 0x20n, 0x40n, 0x80n, 0x100n, 0x200n, NX];
const SHORT_FLAGS = [0x1n, 0x2n, 0x4n, 0x8n, 0x20n, 0x40n, 0x80n, 0x100n, 0x200n];
/** Reserved in some entry of some mode, protection keys, software bits. */
const RARE = [13n, 17n, 20n, 21n, 29n, 36n, 40n, 46n, 51n, 52n, 58n, 59n, 60n, 62n].map(
  (n) => 1n << n,
);

export const anyFlag = (scene: Scene, vcpu: number): bigint =>
  scene.random.pick(scene.geometry(vcpu).entryBytes === 8 ? WIDE_FLAGS : SHORT_FLAGS);

/** An entry of any table: mostly usable, every flag changed now and then, sometimes empty or garbage. */
export function anyEntryValue(scene: Scene, vcpu: number): bigint {
  const { random } = scene;
  const short = scene.geometry(vcpu).entryBytes === 4;
  if (random.oneIn(15)) return 0n;
  if (random.oneIn(60)) return short ? random.u64() & 0xffffffffn : random.u64();
  const frame = scene.anyFrame();
  let entry = (BigInt(frame) << 12n) | P_W_U;
  if (!random.oneIn(3)) entry |= A_D;
  for (const flag of short ? SHORT_FLAGS : WIDE_FLAGS) if (random.oneIn(10)) entry ^= flag;
  if (!short && random.oneIn(20)) entry |= random.pick(RARE);
  if (!short && random.oneIn(6)) entry |= BigInt(random.below(16)) << 59n;
  return short ? entry & 0xffffffffn : entry;
}

/** An entry for a level that leads on or maps, with all rights most of the time. */
export function goodEntry(scene: Scene, vcpu: number, level: number): bigint {
  const { random } = scene;
  const { mode } = scene.geometry(vcpu);
  const frame =
    BigInt(level === 1 && random.oneIn(2) ? random.pick(DATA) : scene.anyFrame()) << 12n;
  if (mode === "PAE" && level === 3) return frame | 1n;
  const rights = random.oneIn(4) ? random.pick([0x3n, 0x5n, 0x1n]) : P_W_U;
  return frame | rights | (random.oneIn(3) ? 0n : A_D);
}

/** An entry that maps a page of 2M, 4M or 1G. */
export function largeEntry(scene: Scene, level: number): bigint {
  const { random } = scene;
  const frame = level === 2 ? random.pick([0, SLOT_PAGES]) : 0;
  const flags = random.pick([0xe7n, 0xe7n, 0xa7n, 0xe5n, 0xe3n, 0x87n, 0x1e7n]);
  return BigInt(frame * 4096) | flags;
}

/** CR3 with one of the roots; under PCID with one of a few. */
export function anyRoot(scene: Scene, vcpu: number): bigint {
  const root = BigInt(scene.random.pick(ROOTS) * 4096);
  return scene.plain(vcpu).tagged ? root | BigInt(scene.random.below(4)) : root;
}
