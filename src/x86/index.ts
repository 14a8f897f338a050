export * from "./address";
export * from "./cpu/board";
export * from "./cpu/layout";
export * from "./cpu/state";
export * from "./trace";
