export { nearest } from "./nearest";
