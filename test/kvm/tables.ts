import { Guest, type GuestOptions } from "./guest";

/** The guest of golden trace G1: gva 0x5000 → gpa 0x9000 through tables at 0x1000 … 0x4000. */
export function firstGuest(options: GuestOptions = {}): Guest {
  return new Guest(options)
    .entry(0x1000, 0x2007)
    .entry(0x2000, 0x3007)
    .entry(0x3000, 0x4007)
    .entry(0x4028, 0x9007);
}

/** … after its step 3: entered, read and written at CPL 3. The log is empty. */
export function touchedGuest(options: GuestOptions = {}): Guest {
  const guest = firstGuest(options).enter();
  guest.read(3, 0x5000);
  guest.write(3, 0x5000, 1);
  guest.log.length = 0;
  return guest;
}

/** Host address of entry `index` of the n-th shadow page of a VM. */
export const sp = (n: number, index = 0): number => 0x200000000 + n * 0x1000 + index * 8;

/** An entry that maps nothing. */
export const NP = 0x8000000000000000n;
