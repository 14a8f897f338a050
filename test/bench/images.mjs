// The benchmark's guests: boot sectors built from kernels.S, touch.S and fork.S, kept as data beside them.
//   node test/bench/images.mjs     rebuilds images/ (needs gcc and GNU ld)
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const KERNELS = ["alu", "sieve", "fib", "med", "mem"];
const folder = path.dirname(fileURLToPath(import.meta.url));
const imagePath = (name) => path.join(folder, "images", `${name}.bin`);

/** A boot sector with its two lap lengths filled in. */
export function image(name, shortLap, longLap) {
  const bytes = new Uint8Array(readFileSync(imagePath(name)));
  const view = new DataView(bytes.buffer);
  view.setUint32(4, shortLap, true);
  view.setUint32(8, longLap, true);
  return bytes;
}

// push cs; pop ds; xor ax,ax; mov es,ax; mov si,100h; mov di,7c00h; mov cx,200h; cld; rep movsb; jmp 0:7c00h
const COPY_TO_7C00 = "0e1f31c08ec0be0001bf007cb90002fcf3a4ea007c0000";
const JUMP_TO_START = "ea000000f0";
const ROM_BYTES = 0x10000;

/** A ROM that does nothing but start the boot sector: all machines then run the same bytes at once. */
export function rom(sector) {
  const bytes = new Uint8Array(ROM_BYTES).fill(0xff);
  bytes.set(Buffer.from(COPY_TO_7C00, "hex"), 0);
  bytes.set(sector, 0x100);
  bytes.set(Buffer.from(JUMP_TO_START, "hex"), ROM_BYTES - 16);
  return bytes;
}

function rebuild() {
  const work = mkdtempSync(path.join(os.tmpdir(), "bench-"));
  const object = path.join(work, "image.o");
  const assemble = (source, name, ...defines) => {
    const flags = defines.map((define) => `-D${define}`);
    execFileSync("gcc", ["-c", ...flags, path.join(folder, source), "-o", object], {
      stdio: "inherit",
    });
    const layout = ["-m", "elf_x86_64", "-Ttext", "0x7c00", "--oformat", "binary"];
    execFileSync("ld", [...layout, "-o", imagePath(name), object], { stdio: "inherit" });
  };
  mkdirSync(path.join(folder, "images"), { recursive: true });
  for (const kernel of KERNELS)
    for (const bits of [32, 64])
      assemble("kernels.S", `${kernel}-${bits}`, `KERNEL=${kernel}`, `BITS=${bits}`);
  assemble("touch.S", "touch-64");
  assemble("fork.S", "fork-64");
  rmSync(work, { recursive: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) rebuild();
