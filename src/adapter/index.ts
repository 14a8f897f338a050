export { nodeSurroundings } from "./node-surroundings";
export * from "./protocol";
export { Session } from "./session";
export type { Surroundings } from "./surroundings";
