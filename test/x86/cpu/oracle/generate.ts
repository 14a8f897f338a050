import { baseline, PAGE, SPACE, WRITABLE_BYTES } from "./address-space";
import { type Case, type Mode, REGISTER_FILES, registerFiles, registersOf } from "./case";
import { type Encoded, encode } from "./encoder";
import { type Form, formsOf } from "./form";
import { Random } from "./random";
import { type Draft, place, shapeOf } from "./shapes";

const CODE_BYTES = SPACE.codePages * PAGE;
const LONGEST = 15;

/** One random instance of `form`. */
export function draw(
  form: Form,
  random: Random,
  files: readonly (readonly bigint[])[],
  memory: Uint8Array,
): Case {
  const file = random.below(REGISTER_FILES);
  const set = new Map<number, bigint>();
  const patches: { at: number; bytes: Uint8Array }[] = [];
  const gpr = registersOf(
    { form: form.key, mode: form.mode, ip: 0, code: memory, file, set: [], flags: 0, patches: [] },
    files,
  );
  // Now and then the instruction crosses a page.
  const ip = SPACE.code + (random.chance(4) ? PAGE - 1 - random.below(8) : PAGE + PAGE / 2);
  const put = (register: number, value: bigint): void => {
    gpr[register] = BigInt.asUintN(form.mode, value);
    set.set(register, gpr[register]!);
  };
  const offset = (linear: bigint): number =>
    Number(BigInt.asIntN(53, linear - BigInt(SPACE.scratch)));
  const draft: Draft = {
    form,
    random,
    gpr,
    put,
    patch: (linear, value, bytes) => {
      const at = offset(linear);
      if (at < 0 || at + bytes > WRITABLE_BYTES) return;
      const data = new Uint8Array(8);
      new DataView(data.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
      patches.push({ at, bytes: data.subarray(0, bytes) });
    },
    peek: (linear, bytes) => {
      const at = offset(linear);
      if (at < 0 || at + bytes > memory.length) return 0n;
      return memory
        .subarray(at, at + bytes)
        .reduceRight((all, byte) => (all << 8n) | BigInt(byte), 0n);
    },
    target: () => {
      const at = SPACE.code + random.below(CODE_BYTES - 1);
      return BigInt(at < ip || at >= ip + LONGEST ? at : ip + LONGEST + 1);
    },
  };
  const shape = shapeOf(form.row.name);
  const wanted = shape.before?.(draft) ?? {};
  const bytes = form.row.name === "cmpxchg8b" ? 16 : form.operandSize;
  const linear = place(random, bytes, form.mode);
  const lockable = form.row.flags.has("lock") && form.place === "mem";
  const near = form.row.operands.some(({ kind, size }) => kind === "J" && size === "b");
  let branch = near
    ? ip + 20 + random.below(100) - (random.chance(50) ? 125 : 0)
    : Number(draft.target());
  if (branch >= ip - 1 && branch < ip + LONGEST) branch = ip - 2 - random.below(100);
  const claimed = new Set(shape.claims);
  const lock = random.chance(lockable ? 25 : 1);
  const encoded: Encoded = encode(form, ip, { linear, claimed, gpr }, random, {
    ...wanted,
    branch,
    lock,
  });
  for (const [register, value] of encoded.set) put(register, value);
  shape.after?.(draft, linear, encoded.rm);
  return {
    form: form.key,
    mode: form.mode,
    ip,
    code: encoded.code,
    file,
    set: [...set],
    flags: random.below(128),
    patches,
  };
}

/** Seed of a form: adding a row leaves the cases of the others as they were. */
function hash(text: string, seed: number): number {
  let value = seed ^ 0x811c9dc5;
  for (let n = 0; n < text.length; n++) value = Math.imul(value ^ text.charCodeAt(n), 0x01000193);
  return value >>> 0;
}

/** Rows that repeat for 16 conditions or 8 registers need fewer cases each. */
const share = ({ row }: Form): number => (row.flags.has("cc") ? 16 : row.flags.has("z8") ? 8 : 1);

/** Cases of every form of `mode`, about `perForm` each, the same for the same seed. */
export function* generate(mode: Mode, perForm: number, seed: number): Generator<Case> {
  const files = registerFiles();
  const memory = baseline();
  for (const form of formsOf(mode)) {
    const random = new Random(hash(form.key, seed));
    const count = Math.max(4, Math.ceil(perForm / share(form)));
    for (let n = 0; n < count; n++) yield draw(form, random, files, memory);
  }
}
