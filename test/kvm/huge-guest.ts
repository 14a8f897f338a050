import type { Guest, GuestOptions } from "./guest";
import { firstGuest, sp } from "./tables";

/** The entry that maps gva 0x200000 … 0x3fffff of `hugeGuest`. */
export const HUGE = sp(2, 1);

/** gva 0x200000 is a 2M page of user code and data over a huge host page; not yet touched. */
export const hugeGuest = (options: GuestOptions = {}): Guest =>
  firstGuest({ ...options, backing: { kind: "anonymous", writable: true, thp: true } })
    .entry(0x3008, 0x2000e7)
    .enter();
