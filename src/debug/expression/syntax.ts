import type { AddressSpace } from "./space";

/** Where something stands in the text: from `start` up to, not including, `end`. */
export interface Place {
  readonly start: number;
  readonly end: number;
}

/** What is one token and a whole expression too. */
export type Atom =
  | { readonly kind: "number"; readonly value: bigint; readonly shown: "d" | "x" }
  | { readonly kind: "string"; readonly value: string }
  /** `gpa:0x3000`, `gva@0x1000:0x400000`: no spaces inside. */
  | {
      readonly kind: "address";
      readonly space: AddressSpace;
      readonly value: bigint;
      readonly root?: bigint;
    }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "register"; readonly name: string }
  | { readonly kind: "symbol"; readonly name: string };

/** The tree of an expression (grammar: the parser). */
export type Expression = Place &
  (
    | Atom
    | { readonly kind: "unary"; readonly operator: string; readonly operand: Expression }
    | {
        readonly kind: "binary";
        readonly operator: string;
        readonly left: Expression;
        readonly right: Expression;
      }
    | {
        readonly kind: "choice";
        readonly condition: Expression;
        readonly yes: Expression;
        readonly no: Expression;
      }
    | { readonly kind: "member"; readonly of: Expression; readonly name: string }
    | { readonly kind: "index"; readonly of: Expression; readonly index: Expression }
    | {
        readonly kind: "slice";
        readonly of: Expression;
        readonly from: Expression;
        readonly to: Expression;
      }
    | { readonly kind: "call"; readonly name: string; readonly arguments: readonly Expression[] }
  );

export const FORMATS = ["x", "d", "b", "o", "h", "flags", "raw"] as const;
/** How to print a value; `h` is the long spelling's twin of `x`. */
export type Format = (typeof FORMATS)[number];

export interface Parsed {
  readonly expression: Expression;
  readonly format?: Format;
}
