import { profileOf } from "../../../../src/kvm";
import { CR0, CR4, EFER } from "../../../../src/x86";
import { withLma } from "../plain-vcpu";
import { modeOf } from "../plain-walk";
import { MODES, type Mode, type Setup } from "../setup";
import { anyRoot } from "./entries";
import type { Generator } from "./scene";

/** Bits of CR4 that a guest of this engine and era has. Shadow paging offers no protection keys. */
function cr4Bits({ mmu, era }: Setup): bigint[] {
  const profile = profileOf(era);
  const has = (feature: string): boolean =>
    "era" in profile && !profile.unknownFeatures.includes(feature);
  return [
    CR4.PGE,
    CR4.PSE,
    ...(has("smep") ? [CR4.SMEP] : []),
    ...(has("smap") ? [CR4.SMAP] : []),
    ...(has("pcid") ? [CR4.PCIDE] : []),
    ...(has("pku") && mmu !== "shadow" ? [CR4.PKE] : []),
  ];
}

const flipWriteProtect: Generator = (scene) => [
  { op: "flip", vcpu: scene.anyVcpu(), register: "cr0", bits: CR0.WP },
];
const flipCr4: Generator = (scene) => {
  const bits = scene.random.pick(cr4Bits(scene.world.setup));
  return [{ op: "flip", vcpu: scene.anyVcpu(), register: "cr4", bits }];
};
const flipNx: Generator = (scene) => [
  { op: "flip", vcpu: scene.anyVcpu(), register: "efer", bits: EFER.NX },
];
const setAc: Generator = (scene) => [
  { op: "ac", vcpu: scene.anyVcpu(), on: scene.random.oneIn(2) },
];
const setPkru: Generator = (scene) => [
  { op: "pkru", vcpu: scene.anyVcpu(), value: scene.random.oneIn(3) ? 0 : scene.random.u32() },
];
const invlpg: Generator = (scene) => {
  const vcpu = scene.anyVcpu();
  const va = scene.random.oneIn(10) ? 0x8000_0000_0000_0000n : scene.anyAddress(vcpu);
  return [{ op: "invlpg", vcpu, va }];
};
const invpcid: Generator = (scene) => {
  const vcpu = scene.anyVcpu();
  const type = scene.random.pick([0, 0, 1, 1, 2, 3] as const);
  const pcid = scene.plain(vcpu).tagged ? scene.random.below(4) : 0;
  return [{ op: "invpcid", vcpu, type, pcid, va: scene.anyAddress(vcpu) }];
};

/** Paging off for a while, and on again with the same tables. */
export const flipPagingAmong =
  (modes: readonly Mode[]): Generator =>
  (scene) => {
    const vcpu = scene.anyVcpu();
    const plain = scene.plain(vcpu);
    const cr0 = plain.cr0 ^ CR0.PG;
    const { cr3, cr4, pkru, ac, pdptes } = plain;
    const next = modeOf({ cr0, cr3, cr4, efer: withLma(plain.efer, cr0), pkru, ac, pdptes });
    return modes.includes(next) ? [{ op: "flip", vcpu, register: "cr0", bits: CR0.PG }] : [];
  };

/** Another mode, among those that this run is allowed. */
export const switchModeAmong =
  (modes: readonly Mode[]): Generator =>
  (scene) => {
    const vcpu = scene.anyVcpu();
    const mode = scene.random.pick(modes);
    const cr3 = anyRoot(scene, vcpu) & ~0xfffn;
    return [{ op: "mode", vcpu, mode, cr3: MODES.indexOf(mode) < 3 ? cr3 & 0xffffffffn : cr3 }];
  };

/** Generators of register writes, with their weights. */
export const REGISTER_MENU: readonly (readonly [Generator, number])[] = [
  [flipWriteProtect, 2],
  [flipCr4, 4],
  [flipNx, 1],
  [setAc, 2],
  [setPkru, 1],
  [invlpg, 3],
  [invpcid, 1],
];
