/**
 * Form of one operand in generated code: `r` register by struct address, `M` memory base+disp, `X`
 * memory base+index*scale+disp, `G` memory the general way (segment base, limits, short addresses),
 * `i` immediate, `c` CL, `j` branch target, `s` segment register.
 */
export interface Form {
  readonly letter: "r" | "M" | "X" | "G" | "i" | "c" | "j" | "s";
  readonly size: number;
}

/** All that one piece of generated code is specialised on; equal texts share a handler. */
export interface Key {
  readonly text: string;
  readonly name: string;
  readonly forms: readonly Form[];
  /** Operand size in bytes. Only meaningful for semantics that use `o`. */
  readonly operandSize: number;
  readonly addressSize: number;
  readonly cc: number;
  readonly rep: number;
  /** Segment bases and limits do not matter to implicit operands. */
  readonly flat: boolean;
}
