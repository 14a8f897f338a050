import { profileOf } from "../../../src/kvm";
import {
  ENDLESS,
  ENGINES,
  type EngineName,
  ERAS,
  type Era,
  MODES,
  type Mode,
  PLAIN_SETUP,
  type Setup,
} from "./setup";
import { World } from "./world";

/** A kind of guest: what a campaign chooses among. */
export type GuestKind = Pick<Setup, "mmu" | "era" | "mode">;

/** Why the product does not run such a guest, in its own words; undefined when it does. */
function refusalOf(kind: GuestKind): string | undefined {
  // Without a hypervisor there is no era.
  if (kind.mmu === "none") return kind.era === "modern" ? undefined : "";
  const profile = profileOf(kind.era);
  if ("reason" in profile) return profile.reason;
  if (kind.mode === "5-level" && profile.unknownFeatures.includes("la57")) return "";
  const world = new World({ ...PLAIN_SETUP, ...kind, tlb: [ENDLESS] });
  return world.subject.vm?.vcpus[0]?.failure;
}

export interface Supported {
  readonly kinds: readonly GuestKind[];
  /** A sentence for each kind that the product refuses. */
  readonly refusals: readonly string[];
}

/** What the product can run of all the combinations. */
export function supportedKinds(
  engines: readonly EngineName[] = ENGINES,
  eras: readonly Era[] = ERAS,
  modes: readonly Mode[] = MODES,
): Supported {
  const refusals = new Set<string>();
  const kinds = engines.flatMap((mmu) =>
    eras.flatMap((era) =>
      modes.flatMap((mode) => {
        const kind = { mmu, era, mode };
        const refusal = refusalOf(kind);
        if (refusal) refusals.add(refusal);
        return refusal === undefined ? [kind] : [];
      }),
    ),
  );
  return { kinds, refusals: [...refusals] };
}

/** Modes that a guest may change to. */
export const modesBeside = (kinds: readonly GuestKind[], { mmu, era }: GuestKind): Mode[] =>
  kinds.filter((kind) => kind.mmu === mmu && kind.era === era).map((kind) => kind.mode);
