import { gunzipSync, gzipSync } from "node:zlib";
import { baseline } from "./address-space";
import { ByteReader, ByteWriter } from "./byte-stream";
import { type Case, type Mode, type Outcome, registerFiles, registersOf, TRAP } from "./case";

/** Cases with what one processor made of them. */
export interface VectorSet {
  /** Vendor, model and stepping of the processor. */
  readonly processor: string;
  readonly mode: Mode;
  readonly seed: number;
  readonly files: readonly (readonly bigint[])[];
  /** Scratch contents before patches. */
  readonly memory: Uint8Array;
  readonly vectors: readonly { readonly input: Case; readonly outcome: Outcome }[];
}

const MAGIC = "penumbra-vectors-1";

/**
 * Packs vectors: header, then groups of one form. Outcomes are kept as differences from the inputs;
 * the instruction pointer of a completed instruction as distance from its start.
 */
export function packVectors(set: Omit<VectorSet, "files" | "memory">): Uint8Array {
  const files = registerFiles();
  const out = new ByteWriter();
  for (const text of [MAGIC, set.processor]) out.text(text);
  out.varint(set.mode);
  out.varint(set.seed);
  out.varint(files.length);
  for (const file of files) for (const value of file) out.integer(value, 8);
  out.blob(baseline());
  for (let first = 0; first < set.vectors.length; ) {
    const { form } = set.vectors[first]!.input;
    let end = first;
    while (set.vectors[end]?.input.form === form) end++;
    out.text(form);
    out.varint(end - first);
    for (; first < end; first++) packVector(out, set.vectors[first]!, files);
  }
  return gzipSync(out.result(), { level: 9 });
}

function packVector(
  out: ByteWriter,
  { input, outcome }: VectorSet["vectors"][number],
  files: readonly (readonly bigint[])[],
): void {
  const width = input.mode / 8;
  out.blob(input.code);
  out.integer(BigInt(input.ip), 4);
  out.u8(input.file);
  out.u8(input.flags);
  out.u8(input.set.length);
  for (const [register, value] of input.set) {
    out.u8(register);
    out.integer(value, width);
  }
  out.u8(input.patches.length);
  for (const { at, bytes } of input.patches) {
    out.varint(at);
    out.blob(bytes);
  }
  out.u8(outcome.trap);
  if (outcome.trap !== TRAP.breakpoint) {
    out.varint(outcome.error);
    if (outcome.trap === TRAP.page) out.integer(outcome.cr2, width);
  }
  out.integer(outcome.rip - BigInt(input.ip), width);
  out.integer(BigInt(outcome.flags), 3);
  const before = registersOf(input, files);
  const changed = outcome.gpr.flatMap((value, n) => (value === before[n] ? [] : [n]));
  out.integer(
    changed.reduce((mask, n) => mask | (1n << BigInt(n)), 0n),
    2,
  );
  for (const n of changed) out.integer(outcome.gpr[n]!, width);
  out.varint(outcome.changes.length);
  let last = 0;
  for (const [at, value] of outcome.changes) {
    out.varint(at - last);
    out.u8(value);
    last = at;
  }
}

export function unpackVectors(bytes: Uint8Array): VectorSet {
  const from = new ByteReader(gunzipSync(bytes));
  if (from.text() !== MAGIC) throw new Error("vectors: not a vector file of this version");
  const processor = from.text();
  const mode = from.varint() as Mode;
  const seed = from.varint();
  const files = Array.from({ length: from.varint() }, () =>
    Array.from({ length: 16 }, () => from.integer(8)),
  );
  const memory = from.blob();
  const vectors: { input: Case; outcome: Outcome }[] = [];
  while (!from.atEnd) {
    const form = from.text();
    for (let left = from.varint(); left > 0; left--)
      vectors.push(unpackVector(from, form, mode, files));
  }
  return { processor, mode, seed, files, memory, vectors };
}

function unpackVector(
  from: ByteReader,
  form: string,
  mode: Mode,
  files: readonly (readonly bigint[])[],
): { input: Case; outcome: Outcome } {
  const width = mode / 8;
  const code = from.blob();
  const ip = Number(from.integer(4));
  const file = from.u8();
  const flags = from.u8();
  const set = Array.from({ length: from.u8() }, () => [from.u8(), from.integer(width)] as const);
  const patches = Array.from({ length: from.u8() }, () => ({
    at: from.varint(),
    bytes: from.blob(),
  }));
  const input: Case = { form, mode, ip, code, file, set, flags, patches };
  const trap = from.u8();
  const error = trap === TRAP.breakpoint ? 0 : from.varint();
  const cr2 = trap === TRAP.page ? from.integer(width) : 0n;
  const rip = BigInt.asUintN(mode, from.integer(width) + BigInt(ip));
  const flagsAfter = Number(from.integer(3));
  const mask = from.integer(2);
  const gpr = registersOf(input, files).map((value, n) =>
    (mask >> BigInt(n)) & 1n ? from.integer(width) : value,
  );
  let at = 0;
  const changes = Array.from({ length: from.varint() }, () => {
    at += from.varint();
    return [at, from.u8()] as const;
  });
  return { input, outcome: { trap, error, cr2, rip, flags: flagsAfter, gpr, changes } };
}
