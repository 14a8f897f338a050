import type { Semantic } from "../machine";
import { bits } from "./bits";
import { control } from "./control";
import { flags } from "./flags";
import { integer } from "./int";
import { shift } from "./shift";
import { stack } from "./stack";
import { string } from "./string";

/** The meaning of every mnemonic that generated code carries out. */
export const semantics: Readonly<Record<string, Semantic>> = {
  ...integer,
  ...shift,
  ...bits,
  ...stack,
  ...control,
  ...string,
  ...flags,
};
