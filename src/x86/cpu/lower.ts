import type { Insn, MemoryOperand } from "./insn";
import { keyOf } from "./key";
import { S, SEG, SEG_BYTES, SEG_FIELD } from "./layout";
import { RECORD } from "./record";
import { HANDLER } from "./tier1";

/** Writes instructions down as the records that generated code reads. */
export class RecordWriter {
  private readonly view: DataView;

  constructor(
    memory: WebAssembly.Memory,
    private readonly handlers: ReadonlyMap<string, number>,
  ) {
    this.view = new DataView(memory.buffer);
  }

  header(at: number, count: number): void {
    this.view.setUint32(at, 0, true);
    this.view.setUint32(at + RECORD.count, count, true);
  }

  /** Ends a block without a branch: jumps to `ip`, costs nothing. */
  chain(at: number, ip: bigint): void {
    this.clear(at);
    this.view.setUint16(at, this.handlers.get("jmp j o8")!, true);
    this.view.setBigUint64(at + RECORD.target, ip, true);
  }

  link(at: number, field: number, header: number): void {
    this.view.setUint32(at + field, header, true);
  }

  /** Makes the record at `at` leave; returns what puts it back. */
  stopAt(at: number): () => void {
    const handler = this.view.getUint16(at, true);
    this.view.setUint16(at, HANDLER.stop, true);
    return () => this.view.setUint16(at, handler, true);
  }

  insn(at: number, insn: Insn, index: number, flat: boolean): void {
    this.clear(at);
    const { view } = this;
    view.setUint8(at + RECORD.index, index);
    if (insn.kind !== "code") {
      view.setUint16(at, HANDLER.sysop, true);
      return;
    }
    const key = keyOf(insn, flat);
    const handler = this.handlers.get(key.text);
    if (handler === undefined) throw new Error(`no handler for "${key.text}"`);
    view.setUint16(at, handler, true);
    view.setUint16(at + RECORD.addressSize, insn.addressSize, true);
    const source = insn.override >= 0 ? insn.override : SEG.ds;
    this.segment(at, source);
    this.immediates(at, insn);
    let registers = 0;
    for (const [n, operand] of insn.operands.entries()) {
      switch (operand.kind) {
        case "reg":
          if (key.forms[n]!.letter === "c") break;
          view.setUint16(at + (registers++ === 0 ? RECORD.r1 : RECORD.r2), operand.slot, true);
          break;
        case "mem":
          this.memory(at, operand);
          break;
        case "seg":
          view.setUint16(at + RECORD.r2, S.seg + SEG_BYTES * operand.index + SEG_FIELD.sel, true);
          break;
        case "rel":
          view.setBigUint64(at + RECORD.target, operand.target, true);
          view.setBigUint64(at + RECORD.nextIp, insn.nextIp, true);
          view.setBigUint64(at + RECORD.taken, 0n, true);
          break;
        default:
          break;
      }
    }
  }

  private clear(at: number): void {
    for (let n = 0; n < 32; n += 8) this.view.setBigUint64(at + n, 0n, true);
  }
  private segment(at: number, index: number): void {
    this.view.setUint16(at + RECORD.segment, S.seg + SEG_BYTES * index, true);
  }

  /** A second immediate takes the displacement's place; without any, the next ip takes the first's. */
  private immediates(at: number, insn: Insn): void {
    const values = insn.operands.flatMap((operand) =>
      operand.kind === "imm" ? [operand.value] : [],
    );
    this.view.setBigInt64(at + RECORD.imm, BigInt.asIntN(64, values[0] ?? insn.nextIp), true);
    if (values[1] !== undefined) this.view.setBigInt64(at + RECORD.disp, values[1], true);
  }

  private memory(at: number, { segment, base, index, scale, disp }: MemoryOperand): void {
    const { view } = this;
    const slot = (register: number): number => (register < 0 ? S.zero : S.gpr + 8 * register);
    view.setUint8(at + RECORD.scale, scale);
    view.setUint16(at + RECORD.base, slot(base), true);
    view.setUint16(at + RECORD.indexRegister, slot(index), true);
    view.setBigInt64(at + RECORD.disp, disp, true);
    this.segment(at, segment);
  }
}
