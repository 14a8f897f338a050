import { defaultModel, Engine, type PagingFeatures } from "../x86";
import { BarePlatform } from "./bare-platform";
import { wrongOptions } from "./check-options";
import { slotsOf } from "./guest-ram";
import { loadImage } from "./loaders/load";
import type { Machine, MachineOptions } from "./machine";
import { layoutMemory } from "./memory-map";
import { PcMachine } from "./pc-machine";
import type { Refusal } from "./refusal";

/** A machine with its image loaded, stopped before the first instruction; or why there is none. */
export function createMachine(
  options: MachineOptions,
): { readonly kind: "machine"; readonly machine: Machine } | Refusal {
  const wrong = wrongOptions(options);
  if (wrong) return wrong;
  const image = loadImage({
    image: options.image,
    imageName: options.imageName,
    initrd: options.initrd,
    append: options.append ?? "",
    ramBytes: options.memory,
  });
  if (image.kind === "refused") return image;
  const model = defaultModel(0, options.vcpus);
  const pagingFeatures: PagingFeatures = {
    physicalBits: model.physicalBits,
    gigabytePages: model.features.has("page1gb"),
    pse36: model.features.has("pse36"),
    amd: model.vendor === "amd",
  };
  const slots = slotsOf(options.memory, options.memslots);
  const ramBytes = slots.reduce((sum, { size }) => sum + size, 0);
  const layout = layoutMemory(options.vcpus, ramBytes);
  const pages = layout.totalBytes / 65536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { arenaBase, arenaBytes, parkBase } = layout;
  const engine = new Engine({ memory, arenaBase, arenaBytes, parkBase });
  const machine = new PcMachine({
    options,
    engine,
    image,
    pagingFeatures,
    platform: (host) => new BarePlatform(memory, layout.hostBase, slots, host, pagingFeatures),
  });
  const refused = machine.platform.load(image.pieces);
  return refused ?? { kind: "machine", machine };
}
