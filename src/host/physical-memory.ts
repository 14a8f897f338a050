import { type ByteMemory, type FrameMap, FramePort, type Hpa, type Pfn, pfn } from "../x86";
import { FrameZone, type ZoneState } from "./frame-zone";

/**
 * The parts of host physical memory. `low`: below 4 GiB, where PAE roots must be; `guest`: anonymous
 * memory of the host process; `mmu`: shadow pages; `device`: memory of a device, always there.
 */
export type ZoneName = "low" | "guest" | "mmu" | "device";

/** First frame of each zone: fixed, so that traces and tests can name addresses. */
export const ZONE_BASE: Readonly<Record<ZoneName, Pfn>> = {
  low: pfn(0x1),
  guest: pfn(0x100000),
  mmu: pfn(0x200000),
  device: pfn(0x400000),
};

/** Capacity of each zone in 4 KiB frames; most hosts have no device memory. */
export type ZonePages = Readonly<Record<Exclude<ZoneName, "device">, number>> & {
  readonly device?: number;
};

export interface HostMemoryState {
  readonly zones: Readonly<Record<ZoneName, ZoneState>>;
  /** Content of every allocated frame that is not all zero, by rising frame number. */
  readonly frames: readonly (readonly [pfn: number, bytes: Uint8Array])[];
}

/** Bytes of WebAssembly memory that zones of these sizes take. */
export const hostMemoryBytes = (pages: ZonePages): number =>
  4096 * (pages.low + pages.guest + pages.mmu + (pages.device ?? 0));

/**
 * Host physical memory: the zones of frames, one after the other inside the machine's WebAssembly
 * memory from `base` on. A frame is all zero when it is allocated.
 */
export class HostMemory implements FrameMap<Hpa> {
  /** All of the WebAssembly memory: word `offsetOf(pfn) / 4` is the first of a frame. */
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
  /** Aligned 32- and 64-bit reads, stores and compare-exchange by host physical address. */
  readonly tables: FramePort<Hpa>;
  readonly zones: Readonly<Record<ZoneName, FrameZone>>;
  private readonly list: readonly FrameZone[];

  /** Told of each frame given back: what was known of its bytes (decoded code) is so no more. */
  onFree: ((frame: Pfn) => void) | undefined;

  constructor(memory: ByteMemory, base: number, pages: ZonePages) {
    this.words = new Uint32Array(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
    this.tables = new FramePort(memory, this);
    if (base % 4096 !== 0 || base + hostMemoryBytes(pages) > this.bytes.length)
      throw new Error("host memory must be page-aligned and fit into the WebAssembly memory");
    const low = new FrameZone(ZONE_BASE.low, pages.low, base);
    const guest = new FrameZone(ZONE_BASE.guest, pages.guest, low.end);
    const mmu = new FrameZone(ZONE_BASE.mmu, pages.mmu, guest.end);
    const device = new FrameZone(ZONE_BASE.device, pages.device ?? 0, mmu.end);
    while (device.count < device.pages) device.takeRising();
    this.zones = { low, guest, mmu, device };
    this.list = [low, guest, mmu, device];
  }

  /** Byte offset of a frame in the WebAssembly memory, allocated or not; -1 when no zone has it. */
  offsetOf(frame: Pfn): number {
    const { guest, mmu, low, device } = this.zones;
    if (frame >= device.first) return device.offsetOf(frame);
    if (frame >= mmu.first) return mmu.offsetOf(frame);
    return frame >= guest.first ? guest.offsetOf(frame) : low.offsetOf(frame);
  }

  /** The frame that lies at this byte offset: the way back from `offsetOf`. */
  frameAt(offset: number): Pfn | undefined {
    const zone = this.list.find((each) => offset >= each.offset && offset < each.end);
    return zone && pfn(zone.first + Math.floor((offset - zone.offset) / 4096));
  }

  /** The zone's next frame in rising order, starting over at the end; undefined when it is full. */
  allocate(zone: ZoneName): Pfn | undefined {
    return this.scrubbed(this.zones[zone].takeRising());
  }
  /** The highest frames first: for pages that have lost their place, away from those that have one. */
  allocateSpare(zone: ZoneName): Pfn | undefined {
    return this.scrubbed(this.zones[zone].takeFalling());
  }
  /** This very frame; undefined when it is taken or does not exist. */
  allocateAt(frame: Pfn): Pfn | undefined {
    return this.scrubbed(this.zoneOf(frame)?.takeAt(frame));
  }
  /** Frames of an aligned run in zone "guest", for a huge page: the run at `home` if it is free. */
  allocateRun(pages: number, home?: Pfn): Pfn | undefined {
    const { guest } = this.zones;
    const first =
      (home === undefined ? undefined : guest.takeRunAt(home, pages)) ?? guest.takeRun(pages);
    if (first !== undefined) for (let i = 0; i < pages; i++) this.scrubbed(pfn(first + i));
    return first;
  }
  /** Gives an allocated frame back. Its bytes stay until it is allocated again. */
  free(frame: Pfn): void {
    if (!this.zoneOf(frame)?.give(frame))
      throw new Error(`frame 0x${frame.toString(16)} is freed but was not allocated`);
    this.onFree?.(frame);
  }
  isAllocated(frame: Pfn): boolean {
    return this.zoneOf(frame)?.isTaken(frame) ?? false;
  }

  /** The frame's own bytes, live. */
  frameBytes(frame: Pfn): Uint8Array {
    const offset = this.offsetOf(frame);
    if (offset < 0) throw new Error(`no host frame 0x${frame.toString(16)}`);
    return this.bytes.subarray(offset, offset + 4096);
  }

  save(): HostMemoryState {
    const frames: [number, Uint8Array][] = [];
    for (const zone of this.list)
      for (const frame of zone.taken()) {
        const offset = zone.offsetOf(frame);
        const words = this.words.subarray(offset >>> 2, (offset >>> 2) + 1024);
        if (words.some((word) => word !== 0)) frames.push([frame, this.frameBytes(frame).slice()]);
      }
    const { low, guest, mmu, device } = this.zones;
    const zones = {
      low: low.save(),
      guest: guest.save(),
      mmu: mmu.save(),
      device: device.save(),
    };
    return { zones, frames };
  }

  restore(state: HostMemoryState): void {
    const { low, guest, mmu, device } = this.zones;
    for (const zone of this.list) for (const frame of zone.used()) this.frameBytes(frame).fill(0);
    low.restore(state.zones.low);
    guest.restore(state.zones.guest);
    mmu.restore(state.zones.mmu);
    device.restore(state.zones.device);
    for (const [frame, bytes] of state.frames) this.frameBytes(pfn(frame)).set(bytes);
  }

  private scrubbed(frame: Pfn | undefined): Pfn | undefined {
    if (frame !== undefined && this.zoneOf(frame)?.isStale(frame)) this.frameBytes(frame).fill(0);
    return frame;
  }

  private zoneOf(frame: Pfn): FrameZone | undefined {
    return this.list.find((zone) => zone.has(frame));
  }
}
