import { type Block, type BlockCache, MAX_BLOCK } from "./blocks";
import type { GuestFault } from "./board";
import { decode } from "./decode";
import { Fetcher, type FramePort } from "./fetch";
import type { Insn } from "./insn";
import type { Mode } from "./mode";

export type BuildResult =
  | { readonly kind: "block"; readonly block: Block }
  | { readonly kind: "fault"; readonly fault: GuestFault }
  /** An instruction would have to be fetched from a device. */
  | { readonly kind: "device" };

/** What to decode, and how far. */
export interface BuildRequest {
  readonly mode: Mode;
  readonly ip: bigint;
  readonly linear: bigint;
  /** Frame of the first byte. */
  readonly offset: number;
  /** One instruction only. */
  readonly single: boolean;
  /** Addresses where a block has to end, so that something can be looked at before. */
  isBarrier(linear: bigint): boolean;
}

const REPEATABLE = new Set(["movs", "stos", "lods", "scas", "cmps"]);
const BRANCHES = new Set([
  ...["jmp", "jcc", "call", "ret", "loop", "loope", "loopne", "jcxz", "popf"],
]);
const isRepeated = ({ name, rep }: Insn): boolean => rep !== 0 && REPEATABLE.has(name);
const endsBlock = (insn: Insn): boolean => insn.kind !== "code" || BRANCHES.has(insn.name);

/**
 * Decodes from `ip` to the first branch or system instruction, the end of the page, a barrier, or the
 * longest length. An instruction that reaches into the next page, and one with REP, is a block alone.
 */
export function buildBlock(
  cache: BlockCache,
  memory: Uint8Array,
  port: FramePort,
  request: BuildRequest,
): BuildResult {
  const { mode, linear, offset, single } = request;
  const fetcher = new Fetcher(memory, mode, offset, port);
  const start = Number(linear & 0xfffn);
  const limit = single ? 1 : MAX_BLOCK;
  const insns: Insn[] = [];
  let at = start;
  let ip = request.ip;
  let ended = false;
  while (!ended && insns.length < limit && at < 4096) {
    const first = insns.length === 0;
    if (!first && request.isBarrier(linear + BigInt(at - start))) break;
    fetcher.mayCross = first;
    const insn = decode(fetcher.start(ip, at), ip, mode.bits);
    if (!first && (!insn || fetcher.crossed || isRepeated(insn))) break;
    if (!insn) return fetcher.fault ? { kind: "fault", fault: fetcher.fault } : { kind: "device" };
    insns.push(insn);
    ended = endsBlock(insn) || isRepeated(insn);
    at += insn.length;
    ip = insn.nextIp;
  }
  const last = insns.at(-1)!;
  cache.makeRoom();
  const crosses = at > 4096;
  const block = cache.add(
    insns,
    mode,
    linear,
    offset,
    crosses ? fetcher.secondFrame : -1,
    single,
    !endsBlock(last),
  );
  return { kind: "block", block };
}
