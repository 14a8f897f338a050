// Runs one ROM under v86 (npm) and passes on what it announces: node v86-runner.mjs ROM
import { readFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { V86 } from "v86";

const rom = readFileSync(process.argv[2]);
const emulator = new V86({
  wasm_path: createRequire(import.meta.url).resolve("v86/build/v86.wasm"),
  bios: { buffer: rom.buffer.slice(rom.byteOffset, rom.byteOffset + rom.length) },
  memory_size: 16 << 20,
  vga_memory_size: 1 << 20,
  autostart: true,
  disable_keyboard: true,
  disable_mouse: true,
});
emulator.add_listener("serial0-output-byte", (byte) => writeSync(1, Uint8Array.of(byte)));
