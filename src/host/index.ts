export * from "./host-actions";
export * from "./mapping";
export * from "./notifiers";
export * from "./physical-memory";
export * from "./process";
