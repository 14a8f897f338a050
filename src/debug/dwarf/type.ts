/** A C type, reduced to what reading and printing a value needs. Sizes in bytes. */
export type CType =
  | {
      readonly kind: "integer";
      readonly name: string;
      readonly size: number;
      readonly signed: boolean;
      readonly shown: "number" | "character" | "boolean";
    }
  | {
      readonly kind: "enumeration";
      readonly name: string;
      readonly size: number;
      readonly values: ReadonlyMap<bigint, string>;
    }
  | {
      readonly kind: "pointer";
      readonly name: string;
      readonly size: number;
      readonly target: () => CType;
    }
  | {
      readonly kind: "array";
      readonly name: string;
      readonly size: number;
      readonly count: number;
      readonly element: CType;
    }
  | {
      readonly kind: "struct";
      readonly name: string;
      readonly size: number;
      readonly members: () => readonly Member[];
    }
  /** `void`, functions, floating point and damaged descriptions: bytes that are not interpreted. */
  | { readonly kind: "opaque"; readonly name: string; readonly size: number };

export interface Member {
  readonly name: string;
  /** From the start of the struct. */
  readonly offset: number;
  readonly type: CType;
  /** A bit field: `shift` counts from bit 0 of the member's bytes. */
  readonly bits?: { readonly shift: number; readonly width: number };
}
