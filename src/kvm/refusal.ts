/** Why a call of the VM's control interface was refused: the errno KVM gives, and a sentence. */
export interface Refusal {
  readonly kind: "refused";
  readonly errno: "EINVAL" | "E2BIG" | "EEXIST" | "ENOENT" | "ENOTTY" | "ENXIO";
  readonly reason: string;
}

export const refuse = (errno: Refusal["errno"], reason: string): Refusal => ({
  kind: "refused",
  errno,
  reason,
});
