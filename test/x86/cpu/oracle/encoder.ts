import type { OperandCode } from "../../../../src/x86/cpu/opcode-rows";
import { SPACE } from "./address-space";
import type { Form } from "./form";
import type { Random } from "./random";

/** A memory operand: where it shall point, and registers that make it do so. */
export interface Aim {
  readonly linear: bigint;
  /** Registers the memory operand may not use, because the case needs their values. */
  readonly claimed: ReadonlySet<number>;
  readonly gpr: readonly bigint[];
}

export interface Encoded {
  readonly code: Uint8Array;
  readonly set: readonly (readonly [number, bigint])[];
  /** Number of the register that modrm.rm names, -1 without. */
  readonly rm: number;
}

const RSP = 4;
const GS = 0x65;
const NULL_OVERRIDES = [0x26, 0x2e, 0x36, 0x3e] as const;

const little = (value: bigint, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, n) => Number((value >> BigInt(8 * n)) & 0xffn));

/** Fields of an encoding under way. */
interface Parts {
  prefixes: number[];
  rex: number;
  modrm: number[];
  disp: bigint;
  dispBytes: number;
  ripRelative: boolean;
  immediate: number[];
  set: [number, bigint][];
  rm: number;
}

function immediateBytes({ kind, size }: OperandCode, form: Form, short: boolean): number {
  const z = form.operandSize === 2 ? 2 : 4;
  if (kind === "O") return form.mode === 64 ? (short ? 4 : 8) : short ? 2 : 4;
  if (kind === "J") return size === "b" ? 1 : z;
  if (kind !== "I") return 0;
  return size === "w" ? 2 : size === "z" ? z : size === "v" ? form.operandSize : 1;
}

/** Chooses base, index, scale and displacement so that the operand points at `aim.linear`. */
function memory(form: Form, aim: Aim, random: Random, parts: Parts): void {
  const long = form.mode === 64;
  let target = aim.linear;
  if (long && random.chance(4)) {
    parts.prefixes.push(GS);
    target -= BigInt(SPACE.gsBase);
  } else if (random.chance(4)) parts.prefixes.push(random.pick(NULL_OVERRIDES));
  const short = random.chance(form.row.name === "lea" ? 25 : 6);
  if (short) parts.prefixes.push(0x67);
  if (short && !long) {
    sixteenBitAddress(random, parts);
    return;
  }
  const bits = long && !short ? 64 : 32;
  const reg = (): number => {
    const n = random.below(long ? 16 : 8);
    return aim.claimed.has(n) ? reg() : n;
  };
  const style = random.below(100);
  if (style < 10 && long && bits === 64) {
    parts.ripRelative = true;
    parts.disp = target;
    parts.dispBytes = 4;
    parts.modrm = [5];
    return;
  }
  const scale = random.below(4);
  let index = style < 60 ? -1 : reg();
  if (index === RSP) index = -1;
  const base = style >= 90 || (style < 20 && !long) ? -1 : reg();
  if (index === base) index = -1;
  // The index keeps its random contents unless nothing but the displacement could make up for them.
  const indexValue =
    index < 0 ? 0n : base < 0 ? BigInt(random.below(4096)) : BigInt.asUintN(bits, aim.gpr[index]!);
  if (index >= 0 && base < 0) parts.set.push([index, indexValue]);
  const scaled = indexValue << BigInt(scale);
  let mod = random.below(3);
  if (base < 0) {
    mod = 0;
    parts.dispBytes = 4;
    parts.disp = BigInt.asIntN(32, target - scaled);
  } else {
    if (mod === 0 && (base & 7) === 5) mod = 1;
    parts.dispBytes = [0, 1, 4][mod]!;
    parts.disp = parts.dispBytes ? BigInt.asIntN(8 * parts.dispBytes, random.value(32)) : 0n;
    parts.set.push([base, BigInt.asUintN(bits, target - scaled - parts.disp)]);
  }
  const sib = base < 0 ? index >= 0 || long : index >= 0 || (base & 7) === RSP;
  parts.rex |= (base >= 8 ? 1 : 0) | (index >= 8 ? 2 : 0);
  const rm = base < 0 ? 5 : base & 7;
  parts.modrm = sib
    ? [(mod << 6) | 4, (scale << 6) | ((index < 0 ? 4 : index & 7) << 3) | rm]
    : [(mod << 6) | rm];
}

/** Sixteen-bit forms reach only the first 64 KiB, where nothing is mapped: faults, and LEA. */
function sixteenBitAddress(random: Random, parts: Parts): void {
  const mod = random.below(3);
  const rm = random.below(8);
  parts.dispBytes = mod === 0 ? (rm === 6 ? 2 : 0) : mod;
  parts.disp = BigInt(random.below(0x10000));
  parts.modrm = [(mod << 6) | rm];
}

/**
 * Bytes of one instance of `form` at `ip`. `branch` is the target of a relative branch; `immediate`
 * replaces the random one; `reg` fixes the register that modrm.reg names.
 */
export function encode(
  form: Form,
  ip: number,
  aim: Aim,
  random: Random,
  fixed: { reg?: number; branch?: number; immediate?: bigint; lock?: boolean },
): Encoded {
  const { row, mode } = form;
  const long = mode === 64;
  const parts: Parts = {
    prefixes: [],
    rex: form.width === "W" ? 8 : 0,
    modrm: [],
    disp: 0n,
    dispBytes: 0,
    ripRelative: false,
    immediate: [],
    set: [],
    rm: -1,
  };
  if (form.width === "66") parts.prefixes.push(0x66);
  if (fixed.lock) parts.prefixes.push(0xf0);
  let short = false;
  const operandsInMoffs = row.operands.some(({ kind }) => kind === "O");
  if (operandsInMoffs && long && random.chance(25)) {
    short = true;
    parts.prefixes.push(0x67);
  }
  if (form.place) {
    const reg =
      row.digit >= 0
        ? row.digit
        : row.operands.some(({ kind }) => kind === "S")
          ? random.below(6)
          : (fixed.reg ?? random.below(long ? 16 : 8));
    if (form.place === "mem") memory(form, aim, random, parts);
    else {
      parts.rm = random.below(long ? 16 : 8);
      parts.modrm = [0xc0 | (parts.rm & 7)];
      if (parts.rm >= 8) parts.rex |= 1;
    }
    parts.modrm[0]! |= (reg & 7) << 3;
    if (reg >= 8) parts.rex |= 4;
  }
  if (row.flags.has("z8") && long && random.chance(50)) parts.rex |= 1;
  const opcode = [...{ "1": [], "0f": [0x0f], "0f38": [0x0f, 0x38] }[row.map], row.opcode];
  const mandatory = row.flags.has("66") ? [0x66] : row.prefix ? [row.prefix] : [];
  const rep = form.rep ? [form.rep] : [];
  const rex = long && (parts.rex || random.chance(10)) ? [0x40 | parts.rex] : [];
  const head = [...parts.prefixes, ...mandatory, ...rep, ...rex, ...opcode, ...parts.modrm];

  const sizes = row.operands.map((code) => immediateBytes(code, form, short));
  const tail = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const end = BigInt(ip + head.length + parts.dispBytes + tail);
  const disp = parts.ripRelative ? parts.disp - end : parts.disp;
  const immediates = row.operands.flatMap(({ kind }, n): number[] => {
    const bytes = sizes[n]!;
    if (kind === "J") return little(BigInt(fixed.branch ?? ip) - end, bytes);
    if (kind === "O") return little(aim.linear, bytes);
    return bytes ? little(fixed.immediate ?? random.value(8 * bytes), bytes) : [];
  });
  const code = Uint8Array.from([...head, ...little(disp, parts.dispBytes), ...immediates]);
  return { code, set: parts.set, rm: parts.rm };
}
