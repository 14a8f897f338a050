/** The sections of one image that hold debug information; an absent one is empty. */
export type DebugSections = (name: DebugSectionName) => Uint8Array;

export type DebugSectionName =
  | ".debug_info"
  | ".debug_abbrev"
  | ".debug_line"
  | ".debug_str"
  | ".debug_line_str"
  | ".debug_addr"
  | ".debug_str_offsets"
  | ".debug_ranges"
  | ".debug_rnglists"
  | ".debug_loc"
  | ".debug_loclists"
  | ".debug_frame"
  | ".eh_frame";

/** Takes one sentence about what is wrong with the file; the reader goes on with the rest. */
export type ProblemSink = (sentence: string) => void;
