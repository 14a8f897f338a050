import { nearest } from "../nearest";
import { binary, unary } from "./arithmetic";
import { cValue } from "./c-value";
import { FUNCTIONS } from "./functions";
import { readNumber } from "./memory";
import { lookUp, nearestName, register, symbol } from "./names";
import { parseExpression } from "./parser";
import type { Problem } from "./problem";
import { REGISTERS } from "./registers";
import type { Scope } from "./scope";
import type { Expression, Format } from "./syntax";
import {
  addressIn,
  fault,
  fieldNames,
  fieldOf,
  integer,
  isTrue,
  isWrong,
  kindName,
  type ListValue,
  numberOf,
  type Outcome,
  text,
  type Value,
  type Wrong,
} from "./value";

export type Evaluation =
  | { readonly ok: true; readonly value: Value; readonly format?: Format }
  | { readonly ok: false; readonly problem: Problem };

/** Parses and evaluates. Changes nothing: every way to memory from here can only read. */
export function evaluate(source: string, scope: Scope): Evaluation {
  const result = parseExpression(source);
  if (!result.ok) return result;
  const { expression, format } = result.parsed;
  const outcome = evaluateExpression(expression, scope);
  if (isWrong(outcome)) return { ok: false, problem: outcome };
  return format ? { ok: true, value: outcome, format } : { ok: true, value: outcome };
}

/** The same for a text that was parsed before: conditions run often. */
export function evaluateExpression(e: Expression, scope: Scope): Outcome {
  switch (e.kind) {
    case "number":
      return integer(e.value, e.shown);
    case "string":
      return text(e.value);
    case "address":
      return addressIn(e.space, e.value, e.root);
    case "name":
      return lookUp(scope, e.name) ?? unknownName(e, scope);
    case "register":
      return (
        register(scope, e.name) ??
        unknown(
          e,
          "register",
          `$${e.name}`,
          REGISTERS.map((r) => `$${r.name}`),
        )
      );
    case "symbol":
      return symbol(scope, e.name) ?? unknown(e, "symbol", e.name, scope.symbols.names());
    case "unary":
      return unaryOf(e, scope);
    case "binary":
      return binaryOf(e, scope);
    case "choice": {
      const condition = evaluateExpression(e.condition, scope);
      if (isWrong(condition)) return condition;
      return evaluateExpression(isTrue(condition) ? e.yes : e.no, scope);
    }
    case "member":
      return memberOf(e, scope);
    case "index":
      return indexOf(e, scope);
    case "slice":
      return sliceOf(e, scope);
    case "call":
      return callOf(e, scope);
  }
}

type Node<K extends Expression["kind"]> = Expression & { readonly kind: K };

export const wrong = (e: Expression, message: string): Wrong => ({
  kind: "wrong",
  message,
  start: e.start,
  length: Math.max(1, e.end - e.start),
});

function unknown(e: Expression, what: string, name: string, candidates: Iterable<string>): Wrong {
  const near = nearest(name, candidates);
  return wrong(e, `there is no ${what} ${name}${near ? `; did you mean ${near}?` : ""}`);
}

function unknownName(e: Node<"name">, scope: Scope): Wrong {
  if (FUNCTIONS.has(e.name))
    return wrong(e, `${e.name} is a function: ${FUNCTIONS.get(e.name)?.signature}`);
  const near = nearestName(scope, e.name);
  return wrong(e, `there is no ${e.name} here${near ? `; did you mean ${near}?` : ""}`);
}

function unaryOf(e: Node<"unary">, scope: Scope): Outcome {
  const operand = evaluateExpression(e.operand, scope);
  if (isWrong(operand)) return operand;
  if (e.operator === "*") return dereference(e, operand, scope);
  const result = unary(e.operator, operand);
  return typeof result === "string" ? wrong(e, result) : result;
}

/** What is at an address: the C object a pointer points to, else 8 bytes. */
function dereference(e: Expression, operand: Value, scope: Scope): Outcome {
  if (operand.kind === "fault") return operand;
  const number = numberOf(operand);
  if (number === undefined) return wrong(e, `* needs an address, not ${kindName(operand)}`);
  const at = operand.kind === "address" ? operand : addressIn("gva", number);
  const type = at.pointee?.();
  if (type) return cValue(scope, type, { kind: "memory", at });
  const value = readNumber(scope, at, 8);
  return typeof value === "string" ? fault(value) : { ...integer(value, "x"), place: at, size: 8 };
}

function binaryOf(e: Node<"binary">, scope: Scope): Outcome {
  const left = evaluateExpression(e.left, scope);
  if (isWrong(left)) return left;
  if (e.operator === "&&" || e.operator === "||") {
    const decided = isTrue(left) === (e.operator === "||");
    if (decided) return { kind: "boolean", value: isTrue(left) };
    const right = evaluateExpression(e.right, scope);
    return isWrong(right) ? right : { kind: "boolean", value: isTrue(right) };
  }
  const right = evaluateExpression(e.right, scope);
  if (isWrong(right)) return right;
  const result = binary(e.operator, left, right);
  return typeof result === "string" ? wrong(e, result) : withPointee(result, left, right);
}

/** A moved pointer still points to its type, in steps of its size as in C. */
function withPointee(result: Value, left: Value, right: Value): Value {
  const pointer = left.kind === "address" && left.pointee ? left : undefined;
  if (!pointer || result.kind !== "address" || right.kind === "address") return result;
  const size = BigInt(pointer.pointee?.().size ?? 1);
  const moved = result.value - pointer.value;
  return {
    ...result,
    value: BigInt.asUintN(64, pointer.value + moved * size),
    pointee: pointer.pointee!,
  };
}

/** `pointer.field` reads what the pointer points to: the language has no arrow. */
export function throughPointer(value: Value, scope: Scope): Value {
  const type = value.kind === "address" ? value.pointee?.() : undefined;
  if (value.kind !== "address" || !type) return value;
  return cValue(scope, type, { kind: "memory", at: value });
}

function memberOf(e: Node<"member">, scope: Scope): Outcome {
  const of = evaluateExpression(e.of, scope);
  if (isWrong(of)) return of;
  const target = throughPointer(of, scope);
  const value = fieldOf(target, e.name);
  if (value) return value;
  if (target.kind === "fault") return target;
  const names = fieldNames(target);
  const place = { ...e, start: e.end - e.name.length };
  if (names.length === 0) return wrong(place, `${kindName(target)} has no fields`);
  const near = nearest(e.name, names);
  return wrong(
    place,
    `there is no field ${e.name}; ${near ? `did you mean ${near}?` : `there are ${names.join(" ")}`}`,
  );
}

function indexOf(e: Node<"index">, scope: Scope): Outcome {
  const of = evaluateExpression(e.of, scope);
  if (isWrong(of)) return of;
  const index = evaluateExpression(e.index, scope);
  if (isWrong(index)) return index;
  if (of.kind === "fault") return of;
  const number = numberOf(index);
  if (number === undefined) return wrong(e.index, `an index is a number, not ${kindName(index)}`);
  const type = of.kind === "address" ? of.pointee?.() : undefined;
  if (of.kind === "address" && type) {
    const at = { ...of, value: BigInt.asUintN(64, of.value + number * BigInt(type.size)) };
    return cValue(scope, type, { kind: "memory", at });
  }
  if (of.kind !== "list")
    return wrong(
      e.of,
      `only a list or a pointer has elements, not ${kindName(of)}; read memory with u64(address)`,
    );
  if (number >= BigInt(of.length))
    return wrong(e.index, `there is no element ${number}: the list has ${of.length}`);
  return of.at(Number(number));
}

/** `list[from:to]`: elements `from` up to, not including, `to`. */
function sliceOf(e: Node<"slice">, scope: Scope): Outcome {
  const parts: Value[] = [];
  for (const part of [e.of, e.from, e.to]) {
    const value = evaluateExpression(part, scope);
    if (isWrong(value)) return value;
    parts.push(value);
  }
  const [of, from, to] = parts as [Value, Value, Value];
  if (of.kind === "fault") return of;
  const first = numberOf(from);
  const behind = numberOf(to);
  if (of.kind !== "list") return wrong(e.of, `only a list has parts, not ${kindName(of)}`);
  if (first === undefined || behind === undefined)
    return wrong(e, "the bounds of a part are numbers");
  const low = Math.min(Number(first), of.length);
  const high = Math.max(low, Math.min(Number(behind), of.length));
  return { kind: "list", length: high - low, at: (i) => of.at(low + i) } satisfies ListValue;
}

function callOf(e: Node<"call">, scope: Scope): Outcome {
  const fn = FUNCTIONS.get(e.name);
  if (!fn)
    return unknown({ ...e, end: e.start + e.name.length }, "function", e.name, FUNCTIONS.keys());
  const { least = fn.parameters.length } = fn;
  if (e.arguments.length < least || e.arguments.length > fn.parameters.length)
    return wrong(e, `${fn.signature} is called with ${e.arguments.length} values`);
  const values: Value[] = [];
  for (const [i, argument] of e.arguments.entries()) {
    const value = evaluateExpression(argument, scope);
    if (isWrong(value)) return value;
    // Only what is about a fault itself can take one; a function of a fault is that fault.
    if (value.kind === "fault") return value;
    const problem = fn.parameters[i]?.refuse(value);
    if (problem !== undefined) return wrong(argument, `${fn.signature}: ${problem}`);
    values.push(value);
  }
  const result = fn.apply(scope, values);
  return typeof result === "string" ? wrong(e, result) : result;
}
