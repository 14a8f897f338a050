export * from "./breakpoints/breakpoint-set";
export * from "./breakpoints/catalogue";
export * from "./breakpoints/condition";
export { conditionFields } from "./breakpoints/event-fields";
export { type ParsedBreakpoint, parseBreakpoint } from "./breakpoints/grammar";
export { describeEvent, MNEMONICS } from "./breakpoints/sentence";
export { byteSize } from "./byte-size";
export { codeBits } from "./disassembly/code-bits";
export { Disassembler, type ReadCode, type Row } from "./disassembly/disassembler";
export { type Decoded, decodeOne } from "./disassembly/iced";
export { missingInstruction } from "./disassembly/missing-instruction";
export * from "./expression/bits";
export * from "./expression/completion";
export * from "./expression/evaluate";
export * from "./expression/format-value";
export type { FunctionRow } from "./expression/function-row";
export { FUNCTIONS } from "./expression/functions";
export * from "./expression/parser";
export * from "./expression/problem";
export * from "./expression/register-bits";
export * from "./expression/registers";
export type { Scope } from "./expression/scope";
export * from "./expression/space";
export * from "./expression/syntax";
export {
  type AddressValue,
  type Field,
  fault,
  fieldNames,
  fieldOf,
  type ListValue,
  numberOf,
  type RecordValue,
  type Value,
} from "./expression/value";
export { globalNamed, localsOf, type Variable } from "./expression/variables";
export { consoleCommand, consoleCompletions } from "./host/console-command";
export {
  type HostAnswer,
  type OfferedAction,
  offeredActions,
  performAction,
} from "./host/host-action";
export * from "./inspect/guest-walk";
export * from "./inspect/shadow-walk";
export * from "./inspect/spaces";
export * from "./inspect/table-walk";
export { nearest } from "./nearest";
export { type Execution, type Granularity, Step, type StepKind, type Until } from "./stepping/step";
export { type Image, loadImage } from "./symbols/image";
export type { LineEntry, LineTable, SourceFile } from "./symbols/line-table";
export { isAbsolute, joinSource, normal, type ResolveSource } from "./symbols/source-path";
export type { ImageSymbol, SymbolTable } from "./symbols/symbol-table";
export * from "./symbols/symbols";
export { type Frame, frameRegister } from "./unwind/frame";
export * from "./unwind/stack";
export type { ViewId, ViewNode, ViewPage, ViewRequest } from "./views/view-node";
export { Views } from "./views/views";
