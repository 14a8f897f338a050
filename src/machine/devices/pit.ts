import { copyPlain } from "../plain-state";
import { periodsAt, type Timer, type TimerQueue, timeOfPeriod } from "../time";
import type { PortDevice } from "./device";
import {
  channelAfterReset,
  countAt,
  nextChange,
  outAt,
  type PitChannel,
  setGate,
} from "./pit-channel";

export const PIT_HZ = 1_193_182;
const SYSTEM_CONTROL_B = 0x61;
const CONTROL = 0x43;
/** Refresh toggles bit 4 of port 0x61 each 15 µs. */
const REFRESH_NS = 15_000;

interface Saved {
  readonly channels: PitChannel[];
  readonly speaker: boolean;
}

/** The 8254 of a PC: channel 0 drives IRQ 0, channel 2 hangs on port 0x61. */
export class Pit implements PortDevice {
  readonly name = "pit";
  readonly ports = [
    [0x40, CONTROL],
    [SYSTEM_CONTROL_B, SYSTEM_CONTROL_B],
  ] as const;
  readonly widest = 1;
  private channels = [channelAfterReset(true), channelAfterReset(true), channelAfterReset(false)];
  private speaker = false;
  private readonly timer: Timer;

  constructor(
    private readonly now: () => number,
    timers: TimerQueue,
    private readonly setLine: (level: boolean) => void,
  ) {
    this.timer = timers.create("pit", () => this.update());
  }

  private get clock(): number {
    return periodsAt(this.now(), PIT_HZ);
  }

  read(port: number): number {
    if (port === SYSTEM_CONTROL_B) return this.readSystemControl();
    const channel = this.channels[port & 3];
    if (!channel) return 0xff;
    if (channel.latchedStatus !== undefined) {
      const status = channel.latchedStatus;
      channel.latchedStatus = undefined;
      return status;
    }
    const value = channel.latched ?? countAt(channel, this.clock);
    const high = channel.access === 2 || (channel.access === 3 && channel.readHigh);
    const last = channel.access !== 3 || channel.readHigh;
    if (channel.access === 3) channel.readHigh = !channel.readHigh;
    if (last) channel.latched = undefined;
    return high ? value >> 8 : value & 0xff;
  }

  write(port: number, _size: number, value: number): void {
    const channel = this.channels[port & 3];
    if (port === SYSTEM_CONTROL_B) {
      this.speaker = (value & 2) !== 0;
      setGate(this.channel(2), (value & 1) !== 0, this.clock);
    } else if (port === CONTROL) this.control(value);
    else if (channel) this.writeCount(channel, value);
    this.update();
  }

  private channel(index: number): PitChannel {
    const channel = this.channels[index];
    if (!channel) throw new Error(`no PIT channel ${index}`);
    return channel;
  }

  private readSystemControl(): number {
    const refresh = Math.floor(this.now() / REFRESH_NS) & 1;
    const channel = this.channel(2);
    const out = outAt(channel, this.clock);
    return (channel.gate ? 1 : 0) | (this.speaker ? 2 : 0) | (refresh << 4) | (out ? 1 << 5 : 0);
  }

  private control(value: number): void {
    if (value >> 6 === 3) {
      this.readBack(value);
      return;
    }
    const channel = this.channel(value >> 6);
    const access = (value >> 4) & 3;
    if (access === 0) {
      channel.latched ??= countAt(channel, this.clock);
      return;
    }
    const mode = (value >> 1) & 7;
    Object.assign(channel, channelAfterReset(channel.gate), {
      access,
      mode: mode > 5 ? mode - 4 : mode,
    });
  }

  /** Bit 5 clear latches counts, bit 4 clear latches status, for the channels in bits 3:1. */
  private readBack(value: number): void {
    this.channels.forEach((channel, index) => {
      if (!((value >> (index + 1)) & 1)) return;
      if (!(value & 0x20)) channel.latched ??= countAt(channel, this.clock);
      if (value & 0x10) return;
      const nullCount = channel.loadedAt === undefined ? 0x40 : 0;
      const out = outAt(channel, this.clock) ? 0x80 : 0;
      channel.latchedStatus ??= out | nullCount | (channel.access << 4) | (channel.mode << 1);
    });
  }

  private writeCount(channel: PitChannel, value: number): void {
    if (channel.access === 3 && channel.lowWritten === undefined) {
      channel.lowWritten = value;
      return;
    }
    const count = channel.access === 2 ? value << 8 : value << (channel.access === 3 ? 8 : 0);
    channel.reload = count | (channel.lowWritten ?? 0) || 0x10000;
    channel.lowWritten = undefined;
    // Modes 1 and 5 wait for their gate to rise.
    const triggered = channel.mode === 1 || channel.mode === 5;
    channel.loadedAt = channel.gate && !triggered ? this.clock : undefined;
  }

  /** Puts IRQ 0 where OUT 0 is, and waits for the next change. */
  private update(): void {
    const channel = this.channel(0);
    const { clock } = this;
    this.setLine(outAt(channel, clock));
    const next = nextChange(channel, clock);
    if (next === undefined) this.timer.disarm();
    else this.timer.arm(timeOfPeriod(next, PIT_HZ));
  }

  save(): unknown {
    return copyPlain({ channels: this.channels, speaker: this.speaker }) satisfies Saved;
  }
  restore(saved: unknown): void {
    const { channels, speaker } = copyPlain(saved as Saved);
    this.channels = channels;
    this.speaker = speaker;
  }
}
