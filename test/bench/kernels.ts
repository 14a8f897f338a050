import { Guest } from "../x86/cpu/support/guest";

/** A loop of 64-bit user code: compiled C, bytes at 0x1000, repetitions in rDI, result in rAX, ends in HLT. */
export interface Kernel {
  readonly name: string;
  readonly hex: string;
  /** Repetitions that take around a second. */
  readonly repetitions: bigint;
  /** Result of 20 repetitions on a real processor. */
  readonly expectedOf20: bigint;
}

export const KERNELS: readonly Kernel[] = [
  {
    // Shifts, adds and exclusive ors, each waiting for the one before.
    name: "alu",
    hex:
      "e80b000000f4662e0f1f840000000000b907000000b80100000048ba157c4a7fb979379e0f1f40004801d04889c648c1" +
      "c00548c1e60d4831f24889d648c1ee074829f1488d34494801f24889c681e6ff00ff004831f14883ef0175cc4831c848" +
      "31d0c3",
    repetitions: 10_000_000n,
    expectedOf20: 0x5b66e2bde24b6691n,
  },
  {
    // Sieve of Eratosthenes to 16384: byte stores in strides.
    name: "sieve",
    hex:
      "e80b000000f4662e0f1f840000000000b8000020000f1f00c600014883c001483d0040200075f1b904000000ba020000" +
      "0031f6eb140f1f004883c2014883c1024881fa00400000743280ba000020000074e64883c6014881f9ff3f000077d948" +
      "89c8660f1f440000c68000002000004801d03dff3f00007eefebbd4883ef01758f4889f0c3",
    repetitions: 500n,
    expectedOf20: 0x76cn,
  },
  {
    // Recursive Fibonacci numbers: calls, returns, stack.
    name: "fib",
    hex:
      "e836000000f455534883ec084889fb4883ff01770a4889d84883c4085b5dc3488d7fffe8deffffff4889c5488d7bfee8" +
      "d2ffffff488d5c0500ebda4883ec08e8c2ffffff4883c408c3",
    repetitions: 31n,
    expectedOf20: 0x1a6dn,
  },
  {
    // Median of three random bytes: branches nobody can predict.
    name: "med",
    hex:
      "e801000000f441b800000000b839300000eb1639f2720739f10f43f189f289d24901d04883ef01744369c00d66190005" +
      "5ff36e3c89c2c1ea1869c00d661900055ff36e3c89c1c1e91869c00d661900055ff36e3c89c6c1ee1839ca73b639f172" +
      "0739f20f42d6ebb689caebb24c89c0c3",
    repetitions: 8_000_000n,
    expectedOf20: 0xa8an,
  },
  {
    // Loads, stores and read-modify-writes over two arrays of 64 KiB.
    name: "mem",
    hex:
      "e80b000000f4662e0f1f8400000000004989f8b80000200031d2660f1f4400004889104883c0084883c203483d000021" +
      "0075ed31c9bff8ff4000b80000200090488b104889fe4829c64883c0084801d14831ca488990f8ff0100480116483d00" +
      "00210075db4983e80175cf4889c8c3",
    repetitions: 2000n,
    expectedOf20: 0x98233c7ec4083a00n,
  },
];

/** Bytes of RAM the kernels use. */
const RAM_BYTES = 4 << 20;

export interface KernelRun {
  readonly result: bigint;
  readonly instructions: number;
  readonly seconds: number;
}

/** Runs a kernel on a bare flat board. */
export function runKernel(kernel: Kernel, repetitions = kernel.repetitions): KernelRun {
  const guest = new Guest({ ramBytes: RAM_BYTES }).code(kernel.hex).set("rdi", repetitions);
  const start = performance.now();
  const { why, retired } = guest.run(Number.MAX_SAFE_INTEGER);
  const seconds = (performance.now() - start) / 1000;
  if (why !== "halt") throw new Error(`${kernel.name} ended with ${why}`);
  return { result: guest.get("rax"), instructions: retired, seconds };
}

/** Millions of instructions a second. */
export const mips = ({ instructions, seconds }: KernelRun): number => instructions / seconds / 1e6;
