import { CR0 } from "../../src/x86";
import { checked } from "./checked";
import { Guest, type GuestOptions } from "./guest";

/** A guest that does not page, so that its addresses are guest-physical. */
export function flatGuest(options: GuestOptions): Guest {
  const g = new Guest({ ...checked, tdpMmu: false, ...options });
  g.cpu.cr0 = CR0.PE;
  g.cpu.efer = 0n;
  g.vcpu.eferWritten(0n, 0n);
  return g.enter();
}
