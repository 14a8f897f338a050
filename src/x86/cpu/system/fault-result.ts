import type { GuestFault } from "../board";
import type { SysResult } from "./context";
import { generalProtection, undefinedOpcode } from "./vectors";

/** Results that many instructions share. */
export const faulted = (fault: GuestFault): SysResult => ({ kind: "fault", fault });
export const refused: SysResult = faulted(generalProtection);
export const undefinedHere: SysResult = faulted(undefinedOpcode);
