/** Older kernels shut a vCPU down when CR3 leaves the slots: thrown where a program ends that way. */
export class ShutDown extends Error {}
