export { GUEST_HVA, type HostProcessState } from "./address-space";
export * from "./backing";
export {
  agePage,
  HOST_ACTIONS,
  type HostAction,
  type HostActionOutcome,
  performHostAction,
} from "./host-actions";
export * from "./mapping";
export type { MemoryReport, PageCounts } from "./memory-report";
export * from "./notifiers";
export * from "./physical-memory";
export * from "./process";
export type { Refused } from "./refusal";
export type { Shrinker } from "./shrinkers";
