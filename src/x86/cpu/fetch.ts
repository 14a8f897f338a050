import type { GuestFault } from "./board";
import type { CodeReader } from "./decode";
import type { Mode } from "./mode";

/** Frame of the page that holds a linear address, or why there is none. */
export type FramePort = (
  linear: bigint,
) =>
  | { readonly kind: "frame"; readonly offset: number }
  | { readonly kind: "fault"; readonly fault: GuestFault }
  | { readonly kind: "device"; readonly gpa: number };

const GENERAL_PROTECTION: GuestFault = { vector: 13, error: 0 };

/**
 * Instruction bytes of one block or instruction. The first page is known; the next one is asked for only
 * when a byte of it is needed, and only if `mayCross`.
 */
export class Fetcher implements CodeReader {
  /** Why a byte could not be had. */
  fault: GuestFault | undefined;
  /** A byte of the next page was needed and not allowed, or lies in device memory. */
  crossed = false;
  device = false;
  /** Frame of the next page once fetched from. */
  secondFrame = -1;

  private ip = 0n;
  private at = 0;
  mayCross = false;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly mode: Mode,
    /** Byte offset of the first page. */
    private readonly frame: number,
    private readonly port: FramePort,
  ) {}

  /** The instruction at `ip`, which starts `offset` bytes into the first page. */
  start(ip: bigint, offset: number): this {
    this.ip = ip;
    this.at = offset;
    this.fault = undefined;
    this.crossed = false;
    return this;
  }

  byte(n: number): number {
    const { mode } = this;
    if (mode.bits !== 64 && this.ip + BigInt(n) > BigInt(mode.csLimit)) {
      this.fault = GENERAL_PROTECTION;
      return -1;
    }
    const offset = this.at + n;
    if (offset < 4096) return this.bytes[this.frame + offset]!;
    if (this.secondFrame < 0 && !this.next(n)) return -1;
    return this.bytes[this.secondFrame + offset - 4096]!;
  }

  private next(n: number): boolean {
    this.crossed = true;
    if (!this.mayCross) return false;
    const { mode } = this;
    const sum = this.ip + BigInt(n) + mode.csBase;
    const found = this.port(BigInt.asUintN(mode.bits === 64 ? 64 : 32, sum));
    if (found.kind === "fault") this.fault = found.fault;
    else if (found.kind === "device") this.device = true;
    else this.secondFrame = found.offset;
    return found.kind === "frame";
  }
}
