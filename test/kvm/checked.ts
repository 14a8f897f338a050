import type { GuestOptions } from "./scripted-vcpu";
export const checked: GuestOptions = {};
