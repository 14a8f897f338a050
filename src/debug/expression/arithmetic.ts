import {
  type AddressValue,
  addressIn,
  boolean,
  integer,
  isTrue,
  kindName,
  numberOf,
  type Value,
} from "./value";

/** A value, or the reason there is none. */
export type Result = Value | string;

/** `! ~ -`; dereferencing is the evaluator's, as it reads memory. */
export function unary(operator: string, operand: Value): Result {
  if (operator === "!") return boolean(!isTrue(operand));
  if (operand.kind === "fault") return operand;
  const number = numberOf(operand);
  if (number === undefined || operand.kind === "address")
    return `${operator} needs a number, not ${kindName(operand)}`;
  if (operator === "~") return integer(~number, "x");
  return { ...integer(-number, operand.kind === "integer" ? operand.shown : "d"), signed: true };
}

/** Every binary operator but `&&` and `||`, which do not always look at their right side. */
export function binary(operator: string, left: Value, right: Value): Result {
  if (operator === "==" || operator === "!=") {
    const equal = equals(left, right);
    if (typeof equal === "string") return equal;
    return boolean(equal === (operator === "=="));
  }
  if (left.kind === "fault") return left;
  if (right.kind === "fault") return right;
  const a = numberOf(left);
  const b = numberOf(right);
  if (a === undefined || b === undefined) {
    const culprit = a === undefined ? left : right;
    return `${operator} needs numbers, not ${kindName(culprit)}`;
  }
  const compare = COMPARISONS[operator];
  if (left.kind === "address" && right.kind === "address")
    return betweenAddresses(operator, left, right);
  const signed = isSigned(left) || isSigned(right);
  if (compare) return boolean(signed ? compare(as64(a), as64(b)) : compare(a, b));
  if (left.kind === "address") return onAddress(operator, left, b);
  if (right.kind === "address") {
    if (operator === "+") return onAddress(operator, right, a);
    return `${operator} needs a number on its right, not ${kindName(right)}`;
  }
  return numbers(operator, a, b, signed, shownHex(left) || shownHex(right));
}

const COMPARISONS: Readonly<Record<string, (a: bigint, b: bigint) => boolean>> = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

const OPERATIONS: Readonly<Record<string, (a: bigint, b: bigint) => bigint>> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "%": (a, b) => a % b,
  "&": (a, b) => a & b,
  "|": (a, b) => a | b,
  "^": (a, b) => a ^ b,
  "<<": (a, b) => (b >= 0n && b < 64n ? a << b : 0n),
  ">>": (a, b) => (b >= 0n && b < 64n ? a >> b : 0n),
};

const as64 = (value: bigint): bigint => BigInt.asIntN(64, value);
const isSigned = (value: Value): boolean => value.kind === "integer" && value.signed === true;
const shownHex = (value: Value): boolean =>
  value.kind === "record" || (value.kind === "integer" && value.shown === "x");

function numbers(operator: string, a: bigint, b: bigint, signed: boolean, hex: boolean): Result {
  if ((operator === "/" || operator === "%") && b === 0n) return `${operator} by zero`;
  const operation = OPERATIONS[operator];
  if (!operation) throw new Error(`no operator ${operator}`);
  // Shifts count with their right side as it is; everything else sees both sides alike.
  const right = signed && operator !== "<<" && operator !== ">>" ? as64(b) : b;
  const result = integer(operation(signed ? as64(a) : a, right), hex ? "x" : "d");
  return signed ? { ...result, signed } : result;
}

/** Address and number: moving and aligning keep the space; the rest gives a plain number. */
function onAddress(operator: string, address: AddressValue, number: bigint): Result {
  const result = numbers(operator, address.value, number, false, true);
  if (typeof result === "string" || result.kind !== "integer") return result;
  if (!["+", "-", "&", "|", "^"].includes(operator)) return result;
  return addressIn(address.space, result.value, address.root);
}

function betweenAddresses(operator: string, left: AddressValue, right: AddressValue): Result {
  if (left.space !== right.space) return mixed(left, right);
  const compare = COMPARISONS[operator];
  if (compare) return boolean(compare(left.value, right.value));
  if (operator === "-") return numbers("-", left.value, right.value, false, true);
  return `${operator} between two addresses means nothing: only their difference and comparisons do`;
}

/** Names the function that takes one side to the space of the other. */
function mixed(left: AddressValue, right: AddressValue): string {
  const to = ["gfn", "pfn"].includes(left.space) ? right.space : left.space;
  return `a ${left.space} and a ${right.space} do not mix: convert one with ${to}(…)`;
}

function equals(left: Value, right: Value): boolean | string {
  if (left.kind === "fault" || right.kind === "fault")
    return (
      left.kind === right.kind &&
      left.kind === "fault" &&
      right.kind === "fault" &&
      left.text === right.text
    );
  if (left.kind === "none" || right.kind === "none") return left.kind === right.kind;
  if (left.kind === "text" || right.kind === "text") {
    if (left.kind === "text" && right.kind === "text") return left.value === right.value;
    return `a text is compared with a text, not with ${kindName(left.kind === "text" ? right : left)}`;
  }
  if (left.kind === "address" && right.kind === "address" && left.space !== right.space)
    return mixed(left, right);
  const a = numberOf(left);
  const b = numberOf(right);
  if (a === undefined || b === undefined)
    return `== needs numbers or texts, not ${kindName(a === undefined ? left : right)}`;
  return a === b;
}
