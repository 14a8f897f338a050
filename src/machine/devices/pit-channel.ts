/**
 * One counter of the 8254, as a function of elapsed clocks since it was loaded (Intel 82C54 data
 * sheet). Modes 0…5; BCD counting is not modelled, as no PC guest uses it.
 */
export interface PitChannel {
  mode: number;
  /** 1 low byte, 2 high byte, 3 low then high. */
  access: number;
  /** 1…65536 */
  reload: number;
  /** Clock at which counting began; `undefined` while no count was written or the gate holds it. */
  loadedAt: number | undefined;
  gate: boolean;
  /** Low byte waiting for its high byte. */
  lowWritten: number | undefined;
  /** The next read gives the high byte. */
  readHigh: boolean;
  latched: number | undefined;
  latchedStatus: number | undefined;
}

export const channelAfterReset = (gate: boolean): PitChannel => ({
  mode: 3,
  access: 3,
  reload: 0x10000,
  loadedAt: undefined,
  gate,
  lowWritten: undefined,
  readHigh: false,
  latched: undefined,
  latchedStatus: undefined,
});

const periodic = (mode: number): boolean => mode === 2 || mode === 3;

/** The counting element, 16 bits. */
export function countAt(channel: PitChannel, clock: number): number {
  if (channel.loadedAt === undefined) return channel.reload & 0xffff;
  const elapsed = clock - channel.loadedAt;
  if (!periodic(channel.mode)) return (channel.reload - elapsed) & 0xffff;
  const phase = elapsed % channel.reload;
  // Mode 3 counts down by two, twice a period.
  if (channel.mode === 2) return (channel.reload - phase) & 0xffff;
  return (channel.reload - ((2 * phase) % channel.reload)) & 0xfffe;
}

/** The OUT pin. */
export function outAt(channel: PitChannel, clock: number): boolean {
  const { mode, reload, loadedAt } = channel;
  if (loadedAt === undefined) return mode !== 0;
  const elapsed = clock - loadedAt;
  switch (mode) {
    case 0:
    case 1:
      return elapsed >= reload;
    case 2:
      return elapsed % reload !== reload - 1;
    case 3:
      return elapsed % reload < Math.ceil(reload / 2);
    default:
      return elapsed !== reload;
  }
}

/** The first clock after `clock` at which OUT changes; `undefined` when it never will. */
export function nextChange(channel: PitChannel, clock: number): number | undefined {
  const { mode, reload, loadedAt } = channel;
  if (loadedAt === undefined) return undefined;
  const elapsed = clock - loadedAt;
  const changes = periodic(mode)
    ? periodChanges(mode, reload, elapsed)
    : mode < 2
      ? [reload]
      : [reload, reload + 1];
  const next = changes.find((change) => change > elapsed);
  return next === undefined ? undefined : loadedAt + next;
}

function periodChanges(mode: number, reload: number, elapsed: number): number[] {
  const start = elapsed - (elapsed % reload);
  const middle = mode === 2 ? reload - 1 : Math.ceil(reload / 2);
  return [start + middle, start + reload, start + reload + middle];
}

/** A rising or falling gate: modes 1 and 5 (and 2, 3) restart on the rise, the others stop. */
export function setGate(channel: PitChannel, gate: boolean, clock: number): void {
  if (gate === channel.gate) return;
  channel.gate = gate;
  const oneShot = channel.mode === 1 || channel.mode === 5;
  if (gate) channel.loadedAt = clock;
  else if (!oneShot) channel.loadedAt = undefined;
}
