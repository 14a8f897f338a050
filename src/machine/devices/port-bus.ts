import type { Trace } from "../../x86";
import { openBus, type PortDevice } from "./device";

/** Routes port accesses. A port without a device reads all ones, swallows writes and is announced. */
export class PortBus {
  private readonly byPort = new Map<number, PortDevice>();

  constructor(
    devices: readonly PortDevice[],
    private readonly trace: Trace,
  ) {
    for (const device of devices)
      for (const [first, last] of device.ports)
        for (let port = first; port <= last; port++) this.byPort.set(port, device);
  }

  read(port: number, size: number): number {
    const device = this.byPort.get(port);
    if (!device) {
      this.announce("read", port, size, openBus(size));
      return openBus(size);
    }
    if (size <= device.widest) return device.read(port, size);
    const low = this.read(port, size / 2);
    const high = this.read(port + size / 2, size / 2);
    return low + high * 2 ** (4 * size);
  }

  write(port: number, size: number, value: number): void {
    const device = this.byPort.get(port);
    if (!device) this.announce("write", port, size, value);
    else if (size <= device.widest) device.write(port, size, value);
    else {
      const half = 2 ** (4 * size);
      this.write(port, size / 2, value % half);
      this.write(port + size / 2, size / 2, Math.floor(value / half));
    }
  }

  private announce(direction: "read" | "write", port: number, size: number, value: number): void {
    this.trace.emit("unassigned_io", { direction, port, size, value });
  }
}
