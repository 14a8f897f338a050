import { HostMemory, hostMemoryBytes } from "../host";
import { profileOf } from "../kvm";
import { type CpuModel, cpuModel, Engine, type PagingFeatures } from "../x86";
import { BarePlatform } from "./bare-platform";
import { wrongOptions } from "./check-options";
import { chooseCpu } from "./cpu-choice";
import { slotsOf } from "./guest-ram";
import { hostZones, KvmPlatform } from "./kvm-platform";
import { loadImage } from "./loaders/load";
import type { Machine, MachineOptions } from "./machine";
import { layoutMemory, WASM_PAGE } from "./memory-map";
import type { BoardHost } from "./pc-board";
import { PcMachine } from "./pc-machine";
import type { Platform } from "./platform";
import { type Refusal, refuse } from "./refusal";

/** A machine with its image loaded, stopped before the first instruction; or why there is none. */
export function createMachine(
  options: MachineOptions,
): { readonly kind: "machine"; readonly machine: Machine } | Refusal {
  const wrong = wrongOptions(options);
  if (wrong) return wrong;
  const profile = profileOf(options.era);
  if ("kind" in profile) return refuse(profile.reason);
  const cpu = chooseCpu(options.cpu ?? "", options.mmu, profile);
  if ("kind" in cpu) return cpu;
  const image = loadImage({
    image: options.image,
    imageName: options.imageName,
    initrd: options.initrd,
    append: options.append ?? "",
    ramBytes: options.memory,
  });
  if (image.kind === "refused") return image;
  const modelOf = (apicId: number): CpuModel => cpuModel(cpu, apicId, options.vcpus);
  const model = modelOf(0);
  const pagingFeatures: PagingFeatures = {
    physicalBits: model.physicalBits,
    gigabytePages: model.features.has("page1gb"),
    pse36: model.features.has("pse36"),
    amd: model.vendor === "amd",
  };
  const slots = slotsOf(options);
  const ramBytes = slots.reduce((sum, { size }) => sum + size, 0);
  const zones = options.mmu === "none" ? undefined : hostZones(ramBytes, options.vcpus);
  const layout = layoutMemory(options.vcpus, zones ? hostMemoryBytes(zones) : ramBytes);
  const pages = layout.totalBytes / WASM_PAGE;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { arenaBase, arenaBytes, parkBase, hostBase } = layout;
  const engine = new Engine({ memory, arenaBase, arenaBytes, parkBase });
  let refused: Refusal | undefined;
  const platform = (host: BoardHost): Platform => {
    if (!zones || options.mmu === "none")
      return new BarePlatform(memory, hostBase, slots, host, pagingFeatures);
    const frames = new HostMemory(memory, hostBase, zones);
    const { mmu: paging, tdpMmu = true, kvm: knobs = {} } = options;
    const make = { paging, profile, tdpMmu, knobs };
    const shadow = new KvmPlatform(memory, frames, host, pagingFeatures, make);
    refused = shadow.addSlots(slots);
    refused ??= shadow.host.limit(options.hostMemory);
    if (options.check) shadow.checkEntries();
    return shadow;
  };
  const machine = new PcMachine({
    options,
    engine,
    image,
    pagingFeatures,
    model: modelOf,
    platform,
  });
  refused ??= machine.platform.load(image.pieces);
  return refused ?? { kind: "machine", machine };
}
