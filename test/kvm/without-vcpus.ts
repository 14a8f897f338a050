import { MODERN, type Profile, Vm } from "../../src/kvm";
import { FEATURES, Guest } from "./guest";

/** A VM over the host of a guest of its own, before the first vCPU is made. */
export function vmWithoutVcpus(profile: Profile = MODERN): Vm {
  const { memory, host, process, trace } = new Guest();
  return new Vm({ memory, host, process, trace, features: FEATURES, profile });
}
