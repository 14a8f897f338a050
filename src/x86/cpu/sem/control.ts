import { GPR } from "../layout";
import type { Machine, Semantic } from "../machine";
import { L } from "../wasm/code";
import { pushValue, topOfStack } from "./stack";

/** Near branches, calls, returns and loops. Each ends its block. */

function call(m: Machine): void {
  const bytes = m.key.operandSize;
  if (m.key.forms[0]!.letter === "j") {
    pushValue(m, m.nextIp(), bytes);
    m.jump();
    return;
  }
  const target = m.let(L.zx(m.op(0).get(), 8 * bytes));
  m.checkTarget(target);
  pushValue(m, m.nextIp(), bytes);
  m.jumpTo(target);
}

function jmp(m: Machine): void {
  if (m.key.forms[0]!.letter === "j") {
    m.jump();
    return;
  }
  const target = m.let(L.zx(m.op(0).get(), 8 * m.key.operandSize));
  m.checkTarget(target);
  m.jumpTo(target);
}

function ret(m: Machine): void {
  const bytes = m.key.operandSize;
  const { value, sp } = topOfStack(m, bytes);
  const target = m.let(L.zx(value, 8 * bytes));
  m.checkTarget(target);
  const extra = m.key.forms.length > 0 ? m.op(0).get() : undefined;
  m.putStackPointer(extra ? m.let(m.stackAdd(sp, extra)) : sp);
  m.jumpTo(target);
}

/** LOOP, LOOPE, LOOPNE: the count register has the address size; flags stay. */
function loop(condition: number | undefined): Semantic {
  return {
    uses: "ao",
    emit: (m) => {
      const bits = 8 * m.key.addressSize;
      const count = m.let(L.zx(L.sub(m.regU(GPR.rcx, bits), L.c(1)), bits));
      m.put(GPR.rcx, count, bits);
      const more = L.ne(count, L.c(0));
      m.branch(condition === undefined ? more : m.both(more, m.condition(condition)));
    },
  };
}

export const control: Readonly<Record<string, Semantic>> = {
  call: { uses: "of", emit: call },
  jmp: { uses: "o", emit: jmp },
  ret: { uses: "of", emit: ret },
  jcc: { uses: "c", emit: (m) => m.branch(m.condition(m.key.cc)) },
  loop: loop(undefined),
  loope: loop(4),
  loopne: loop(5),
  jcxz: {
    uses: "a",
    emit: (m) => m.branch(L.eqz(m.regU(GPR.rcx, 8 * m.key.addressSize))),
  },
};
