import { allEncodings, decodeEncoding } from "./encodings";
import type { Key } from "./handler-key";
import { keyOf } from "./key";
import { CPU_FIXED_BYTES, S } from "./layout";
import { EXIT, RECORD, RECORD_BYTES } from "./record";
import { semantics } from "./sem";
import { HOT_HANDLERS } from "./tier1-hot";
import {
  type Continuation,
  LOCAL,
  POOL_LOCALS,
  type SharedFunctions,
  Tier1Machine,
} from "./tier1-machine";
import { defineShared } from "./tier1-shared";
import { type Code, I32, I64, L, W, X } from "./wasm/code";
import { ModuleBuilder } from "./wasm/encode";

/**
 * The interpreter module. Function `run(record)` holds the hot handlers (V8 allocates registers poorly in
 * functions with many more than 160 of them); the rest are in functions of `COLD_SIZE`, reached through
 * the table. Handler number = place in `run`, or `COLD_BASE` + place among the cold ones.
 */
const COLD_SHIFT = 7;
const COLD_SIZE = 1 << COLD_SHIFT;
const COLD_BASE = 512;
/** Pseudo instructions, before the hot handlers. */
export const HANDLER = { sysop: 0, stop: 1, first: 2 } as const;

export interface Tier1 {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Handler number by key text. */
  readonly handlers: ReadonlyMap<string, number>;
}

/** Every key that the opcode table can produce, in table order. */
function allKeys(): Map<string, Key> {
  const keys = new Map<string, Key>();
  for (const encoding of allEncodings()) {
    const insn = decodeEncoding(encoding);
    if (insn.kind !== "code") continue;
    for (const flat of encoding.bits === 64 ? [true] : [true, false]) {
      const key = keyOf(insn, flat);
      if (!keys.has(key.text)) keys.set(key.text, key);
    }
  }
  return keys;
}

const ZERO = W.c(0);
const record = X.get(LOCAL.record);
const nextRecord = W.add(record, W.c(RECORD_BYTES));

/** Leaves at this record: a system instruction, or the place where a slice ends inside a block. */
const leave = (code: number): Code => [W.store(ZERO, record, S.exitRec), X.ret(W.c(-code))];

function handlerCode(key: Key, shared: SharedFunctions, continuation: Continuation): Code {
  const machine = new Tier1Machine(key, shared, continuation);
  semantics[key.name]!.emit(machine);
  return machine.finish();
}

/** Nested blocks around a dispatch: `bodies[n]` runs for handler n, `otherwise` for all others. */
function dispatch(index: Code, bodies: readonly Code[], otherwise: Code): Code {
  const table: Code = X.brTable(
    index,
    bodies.map((_, n) => n),
    bodies.length,
  );
  let code: Code = X.block(table);
  for (const body of bodies) code = X.block(code, body);
  return [code, otherwise];
}

/** `run`: block entry with the budget check, then the dispatch loop. Returns a negative exit code. */
function runBody(hot: readonly Key[], shared: SharedFunctions, coldType: number): Code {
  const total = HANDLER.first + hot.length;
  // Labels around handler n: the blocks of later handlers, then the dispatch loop, then the entry loop.
  const continuation = (n: number): Continuation => ({
    next: (depth) => [X.set(LOCAL.record, nextRecord), X.br(total - n + depth)],
    enter: (depth) => X.br(total - n + 1 + depth),
  });
  const bodies = [
    leave(EXIT.sysop),
    leave(EXIT.budget),
    ...hot.map((key, n) => handlerCode(key, shared, continuation(HANDLER.first + n))),
  ];
  const handler = W.load16u(record, RECORD.handler);
  const result = LOCAL.mask + 1 + POOL_LOCALS.length;
  const cold: Code = [
    X.set(
      result,
      X.callIndirect(
        coldType,
        W.shru(W.sub(handler, W.c(COLD_BASE)), W.c(COLD_SHIFT)),
        record,
        X.get(LOCAL.bank),
        X.get(LOCAL.mask),
      ),
    ),
    // A cold handler gives the next record, a block header + 1, or a negative exit code.
    X.if(W.and(X.get(result), W.c(1)), [
      X.if(W.lts(X.get(result), ZERO), X.ret(X.get(result))),
      X.set(LOCAL.record, W.sub(X.get(result), W.c(1))),
      X.br(2),
    ]),
    X.if(W.lts(X.get(result), ZERO), X.ret(X.get(result))),
    X.set(LOCAL.record, X.get(result)),
    X.br(0),
  ];
  const left = X.get(result);
  return [
    X.set(LOCAL.bank, W.load(ZERO, S.tlbBank)),
    X.set(LOCAL.mask, L.load(ZERO, S.addressMask)),
    X.loop(
      X.set(result, W.sub(W.load(ZERO, S.budget), W.load(record, RECORD.count))),
      X.if(W.lts(left, ZERO), leave(EXIT.budget)),
      W.store(ZERO, left, S.budget),
      X.set(LOCAL.record, nextRecord),
      X.loop(dispatch(handler, bodies, cold)),
    ),
    X.unreachable,
  ];
}

/** One cold function: (record, bank, mask) → next record, header + 1, or exit code. */
function coldBody(keys: readonly Key[], base: number, shared: SharedFunctions): Code {
  const continuation: Continuation = {
    next: () => X.ret(nextRecord),
    enter: () => X.ret(W.add(record, W.c(1))),
  };
  const bodies = keys.map((key) => handlerCode(key, shared, continuation));
  const index = W.sub(W.load16u(record, RECORD.handler), W.c(base));
  return [dispatch(index, bodies, []), X.unreachable];
}

/** Generates the module for every encoding of the opcode table. */
export function buildTier1(): Tier1 {
  const keys = allKeys();
  const hot = HOT_HANDLERS.map((text) => keys.get(text)).filter((key) => key !== undefined);
  const isHot = new Set(hot.map(({ text }) => text));
  const cold = [...keys.values()].filter(({ text }) => !isHot.has(text));
  const handlers = new Map<string, number>();
  for (const [n, { text }] of hot.entries()) handlers.set(text, HANDLER.first + n);
  for (const [n, { text }] of cold.entries()) handlers.set(text, COLD_BASE + n);

  const module = new ModuleBuilder();
  const shared = defineShared(module);
  const coldSignature = { params: [I32, I32, I64], results: [I32] };
  const coldFunctions: number[] = [];
  for (let at = 0; at < cold.length; at += COLD_SIZE) {
    const index = module.declare(coldSignature);
    const group = cold.slice(at, at + COLD_SIZE);
    module.define(index, POOL_LOCALS, coldBody(group, COLD_BASE + at, shared));
    coldFunctions.push(index);
  }
  module.setTable(coldFunctions);
  const run = module.declare({ params: [I32], results: [I32] });
  module.define(
    run,
    [I32, I64, ...POOL_LOCALS, I32],
    runBody(hot, shared, module.type(coldSignature)),
  );
  module.export("run", run);
  return { bytes: module.build(Math.ceil(CPU_FIXED_BYTES / 65536)), handlers };
}
