import { decodeText } from "../byte-reader";
import { addressOf, aNumber, anAddress, type FunctionRow, numberOr } from "./function-row";
import { readBytes, readNumber } from "./memory";
import { ADDRESS_SPACES } from "./space";
import { fault, integer, none, text } from "./value";

const anywhere = anAddress(...ADDRESS_SPACES);

const typedRead = (size: 1 | 2 | 4 | 8): FunctionRow => ({
  name: `u${8 * size}`,
  signature: `u${8 * size}(address)`,
  about: `The ${8 * size} bits at an address of any space`,
  parameters: [anywhere],
  apply(scope, [value]) {
    const at = addressOf(value, "gva");
    const read = readNumber(scope, at, size);
    return typeof read === "string" ? fault(read) : { ...integer(read, "x"), place: at, size };
  },
});

/** Longest text read. */
const LONGEST = 4096;

export const memoryFunctions: readonly FunctionRow[] = [
  ...([1, 2, 4, 8] as const).map(typedRead),
  {
    name: "str",
    signature: "str(address[, length])",
    about: "The text at an address: up to its 0, or of this length",
    parameters: [anywhere, aNumber],
    least: 1,
    apply(scope, [value, length]) {
      const at = addressOf(value, "gva");
      const fixed = length === undefined ? undefined : Math.min(numberOr(length, 0), LONGEST);
      if (fixed !== undefined) {
        const bytes = readBytes(scope, at, fixed);
        return typeof bytes === "string" ? fault(bytes) : text(decodeText(bytes));
      }
      const found: number[] = [];
      for (let i = 0; i < LONGEST; i++) {
        const byte = readNumber(scope, { ...at, value: at.value + BigInt(i) }, 1);
        if (typeof byte === "string" && i === 0) return fault(byte);
        if (typeof byte === "string" || byte === 0n) break;
        found.push(Number(byte));
      }
      return text(decodeText(Uint8Array.from(found)));
    },
  },
  {
    name: "sym",
    signature: "sym(address)",
    about: "The symbol an address is in, with the offset",
    parameters: [anAddress("gva")],
    apply(scope, [value]) {
      const name = scope.symbols.describe(addressOf(value, "gva").value);
      return name === undefined ? none("no symbol there") : text(name);
    },
  },
];
