import { copyPlain } from "../plain-state";
import { NS_PER_SECOND } from "../time";
import type { PortDevice } from "./device";

const REGISTER = { b: 0x0b, c: 0x0c, d: 0x0d, a: 0x0a, century: 0x32 } as const;
const UPDATE_IN_PROGRESS = 0x80;
/** UIP is set for the last 244 µs of each second. */
const UPDATE_NS = 244_000;
const B_24_HOURS = 0x02;
const B_BINARY = 0x04;
const SECONDS_PER_DAY = 86_400;

const bcd = (value: number): number => (Math.floor(value / 10) << 4) | (value % 10);

/** Days since 1 January 1970 as year, month (1…12) and day, in the Gregorian calendar. */
function civilDate(days: number): { year: number; month: number; day: number } {
  // Years that begin in March put the leap day last; 719468 days lie between 1 March 0 and 1970.
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const march = Math.floor((5 * dayOfYear + 2) / 153);
  const month = march < 10 ? march + 3 : march - 9;
  const day = dayOfYear - Math.floor((153 * march + 2) / 5) + 1;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day };
}

/**
 * The MC146818 clock and its CMOS memory. Time is a launch constant plus virtual time; its three
 * interrupts are not raised.
 */
export class Rtc implements PortDevice {
  readonly name = "rtc";
  readonly ports = [[0x70, 0x71]] as const;
  readonly widest = 1;
  private index = 0;
  private cmos: number[];

  constructor(
    private readonly now: () => number,
    /** Seconds since 1970 at the start of the run. */
    private readonly startSeconds: number,
    ramBytes: number,
    vcpus: number,
  ) {
    this.cmos = new Array(128).fill(0);
    this.cmos[REGISTER.a] = 0x26;
    this.cmos[REGISTER.b] = B_24_HOURS;
    this.cmos[REGISTER.d] = 0x80;
    this.cmos[0x5f] = vcpus - 1;
    this.store16(0x15, 640);
    const extendedKb = Math.min(Math.floor(ramBytes / 1024) - 1024, 0xffff);
    this.store16(0x17, extendedKb);
    this.store16(0x30, extendedKb);
    this.store16(0x34, Math.max(0, Math.floor((ramBytes - 0x1000000) / 0x10000)));
  }

  private store16(index: number, value: number): void {
    this.cmos[index] = value & 0xff;
    this.cmos[index + 1] = value >> 8;
  }

  read(port: number): number {
    if (port === 0x70) return 0xff;
    const nanoseconds = this.now() % NS_PER_SECOND;
    if (this.index === REGISTER.a) {
      const updating = nanoseconds >= NS_PER_SECOND - UPDATE_NS;
      return (this.cmos[REGISTER.a] ?? 0) | (updating ? UPDATE_IN_PROGRESS : 0);
    }
    const time = this.timeField(this.index);
    if (time === undefined) return this.cmos[this.index] ?? 0;
    return (this.cmos[REGISTER.b] ?? 0) & B_BINARY ? time : bcd(time);
  }

  write(port: number, _size: number, value: number): void {
    if (port === 0x70) this.index = value & 0x7f;
    else if (this.index !== REGISTER.c && this.index !== REGISTER.d)
      this.cmos[this.index] = this.index === REGISTER.a ? value & 0x7f : value;
  }

  private timeField(index: number): number | undefined {
    const seconds = this.startSeconds + Math.floor(this.now() / NS_PER_SECOND);
    const days = Math.floor(seconds / SECONDS_PER_DAY);
    const { year, month, day } = civilDate(days);
    const fields: Readonly<Record<number, number>> = {
      0: seconds % 60,
      2: Math.floor(seconds / 60) % 60,
      4: Math.floor(seconds / 3600) % 24,
      6: ((days + 4) % 7) + 1,
      7: day,
      8: month,
      9: year % 100,
      [REGISTER.century]: Math.floor(year / 100),
    };
    return fields[index];
  }

  save(): unknown {
    return copyPlain({ index: this.index, cmos: this.cmos });
  }
  restore(saved: unknown): void {
    const { index, cmos } = copyPlain(saved as { index: number; cmos: number[] });
    this.index = index;
    this.cmos = cmos;
  }
}
