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
export * from "./cpu/layout";
export * from "./cpu/state";
export * from "./cpu/system/cpu-model";
export { resetState, startup } from "./cpu/system/reset";
export * from "./paging/bits";
export * from "./paging/entry-bit";
export * from "./paging/entry-mask";
export * from "./paging/error-code";
export * from "./paging/format";
export * from "./paging/frame-port";
export * from "./paging/hardware";
export * from "./paging/paging-mode";
export * from "./paging/pdpte";
export * from "./paging/permission";
export * from "./paging/reserved";
export * from "./paging/table-port";
export * from "./paging/walk";
export * from "./paging/walk-failure";
export * from "./paging/walk-result";
export * from "./paging/walk-steps";
export * from "./trace";
