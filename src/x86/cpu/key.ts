import type { Form, Key } from "./handler-key";
import type { Insn, Operand } from "./insn";
import { SEG } from "./layout";
import { semantics } from "./sem";

function formOf(operand: Operand, insn: Insn, flat: boolean): Form {
  switch (operand.kind) {
    case "reg":
      return { letter: "r", size: operand.size };
    case "imm":
      return { letter: "i", size: 0 };
    case "rel":
      return { letter: "j", size: 0 };
    case "mem": {
      const natural = insn.addressSize === (insn.codeBits === 64 ? 8 : 4);
      // Outside 64-bit mode code segments cannot be written: CS goes the general way.
      const segmentless =
        operand.segment < SEG.fs && (insn.codeBits === 64 || operand.segment !== SEG.cs);
      const plain = flat && natural && segmentless;
      return {
        letter: plain ? (operand.index < 0 ? "M" : "X") : "G",
        size: operand.size,
      };
    }
    default:
      return { letter: "s", size: 0 };
  }
}

/** The handler key of an instruction of kind `code`. `flat`: CS, DS, ES and SS are base 0, limit 4 GiB, or 64-bit mode. */
export function keyOf(insn: Insn, flat: boolean): Key {
  const semantic = semantics[insn.name];
  if (!semantic) throw new Error(`no semantics for ${insn.name}`);
  const uses = semantic.uses;
  const forms = insn.operands.map((operand, n) =>
    n === semantic.countOperand && operand.kind === "reg"
      ? ({ letter: "c", size: 1 } as const)
      : formOf(operand, insn, flat),
  );
  const parts = [insn.name, ...forms.map(({ letter, size }) => letter + (size || ""))];
  if (uses.includes("o")) parts.push(`o${insn.operandSize}`);
  if (uses.includes("a")) parts.push(`a${insn.addressSize}`);
  if (uses.includes("c")) parts.push(`c${insn.cc}`);
  if (uses.includes("p")) parts.push(`p${insn.rep}`);
  // A string source may be in FS or GS.
  const implicitFlat = flat && !(uses.includes("s") && insn.override >= SEG.fs);
  if (uses.includes("f")) parts.push(implicitFlat ? "f" : "g");
  return {
    text: parts.join(" "),
    name: insn.name,
    forms,
    operandSize: insn.operandSize,
    addressSize: insn.addressSize,
    cc: insn.cc,
    rep: insn.rep,
    flat: implicitFlat,
  };
}
