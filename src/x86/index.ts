export * from "./address";
export * from "./cpu/board";
export {
  Engine,
  type EngineOptions,
  type RunResult,
  type RunWhy,
  type TlbView,
  VcpuCore,
} from "./cpu/engine";
export type { Insn } from "./cpu/insn";
export * from "./cpu/layout";
export * from "./cpu/state";
export * from "./cpu/system/cpu-model";
export { resetState, startup } from "./cpu/system/reset";
export * from "./paging/bits";
export * from "./paging/entry-bit";
export * from "./paging/entry-mask";
export { type EptFeatures, eptRules } from "./paging/ept";
export { eptMisconfigured } from "./paging/ept-misconfiguration";
export * from "./paging/error-code";
export * from "./paging/format";
export * from "./paging/format-bit";
export * from "./paging/frame-port";
export * from "./paging/hardware";
export * from "./paging/page-modification-log";
export * from "./paging/paging-mode";
export * from "./paging/pdpte";
export * from "./paging/permission";
export {
  pdpteReserved,
  type ReservedInputs,
  type ReservedMasks,
  reservedAt,
  reservedMasks,
} from "./paging/reserved";
export * from "./paging/second-dimension";
export * from "./paging/table-port";
export * from "./paging/two-dimensional";
export * from "./paging/walk";
export * from "./paging/walk-failure";
export * from "./paging/walk-result";
export * from "./paging/walk-steps";
export * from "./trace";
