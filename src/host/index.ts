export { GUEST_HVA, type HostProcessState } from "./address-space";
export * from "./backing";
export * from "./host-actions";
export * from "./mapping";
export * from "./notifiers";
export * from "./physical-memory";
export * from "./process";
