import { gpa, gva, hpa, hva } from "../../x86";
import { ByteReader } from "../byte-reader";
import { leafOf } from "../inspect/guest-walk";
import type { Scope } from "./scope";
import type { AddressValue } from "./value";

/** Bytes at an address of any space, or why there are none. Never changes anything. */
export function readBytes(scope: Scope, at: AddressValue, size: number): Uint8Array | string {
  const { machine } = scope;
  const bytes = readSome(scope, at, size);
  if (bytes.length === size) return bytes;
  if (at.space === "gva") {
    const missing = at.value + BigInt(bytes.length);
    const walk = leafOf(machine, scope.vcpu, gva(missing), rootIn(at));
    if (walk.outcome.kind === "fault") return walk.outcome.text;
    return `no memory at gpa:0x${walk.outcome.to.toString(16)}`;
  }
  return `no memory at ${at.space}:0x${(at.value + BigInt(bytes.length)).toString(16)}`;
}

export function readNumber(scope: Scope, at: AddressValue, size: number): bigint | string {
  const bytes = readBytes(scope, at, size);
  return typeof bytes === "string" ? bytes : new ByteReader(bytes).unsigned(size);
}

const rootIn = (at: AddressValue) => (at.root === undefined ? undefined : gpa(Number(at.root)));

/** Addresses of the three physical-like spaces stay below 2^52, where numbers are exact. */
const BEYOND = 1n << 52n;

function readSome(scope: Scope, at: AddressValue, size: number): Uint8Array {
  const { machine, vcpu } = scope;
  if (at.space === "gva") return machine.gva(vcpu, rootIn(at)).read(gva(at.value), size);
  const number = at.space === "gfn" || at.space === "pfn" ? at.value << 12n : at.value;
  if (number >= BEYOND) return new Uint8Array();
  switch (at.space) {
    case "hva":
      return machine.hva.read(hva(Number(number)), size);
    case "gpa":
    case "gfn":
      return machine.gpa.read(gpa(Number(number)), size);
    case "hpa":
    case "pfn":
      return machine.hpa.read(hpa(Number(number)), size);
  }
}
