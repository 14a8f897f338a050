// The machines that run the benchmark's ROM, and how to start each without a screen.
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const folder = path.dirname(fileURLToPath(import.meta.url));
const runs = (program, ...args) => {
  const { error, status } = spawnSync(program, args, { stdio: "ignore" });
  return !error && status === 0;
};

const qemu = (rom, extra) => [
  "qemu-system-x86_64",
  ...["-accel", "tcg", "-m", "16", "-bios", rom, "-debugcon", "stdio"],
  ...["-display", "none", "-serial", "none", "-monitor", "none", "-net", "none", ...extra],
];

/** Bochs wants its settings in a file, and a VGA ROM even if it is empty; the VNC display needs no screen. */
function bochs(rom, work) {
  const vga = path.join(work, "vga.bin");
  writeFileSync(vga, new Uint8Array(32768));
  const settings = path.join(work, "bochsrc");
  const lines = [
    "plugin_ctrl: speaker=0, extfpuirq=0, parallel=0, gameport=0",
    'display_library: rfb, options="timeout=0"',
    `romimage: file=${rom}, address=0xffff0000`,
    `vgaromimage: file=${vga}`,
    "cpu: model=corei7_haswell_4770, count=1, ips=50000000",
    "memory: guest=16, host=16",
    "port_e9_hack: enabled=1",
    "log: /dev/null",
  ];
  writeFileSync(settings, `${lines.join("\n")}\n`);
  const commands = path.join(work, "bochs.commands");
  writeFileSync(commands, "continue\n");
  return ["bochs", "-q", "-f", settings, "-rc", commands];
}

/**
 * Each peer: `bits` of the kernels it can run, `pace` by which its laps are longer than Bochs' so that
 * they last about as long everywhere, and `command(romFile, workFolder)`, program and arguments.
 */
export const PEERS = [
  {
    name: "QEMU",
    bits: [64, 32],
    pace: 16,
    isPresent: () => runs("qemu-system-x86_64", "--version"),
    command: (rom) => qemu(rom, []),
  },
  {
    name: "QEMU -icount",
    bits: [64, 32],
    pace: 8,
    isPresent: () => runs("qemu-system-x86_64", "--version"),
    command: (rom) => qemu(rom, ["-icount", "shift=0"]),
  },
  {
    name: "Bochs",
    bits: [64, 32],
    pace: 1,
    isPresent: () => runs("bochs", "--help"),
    command: bochs,
  },
  {
    name: "v86",
    bits: [32],
    pace: 8,
    isPresent: () => existsSync("node_modules/v86/build/v86.wasm"),
    command: (rom) => [process.execPath, path.join(folder, "v86-runner.mjs"), rom],
  },
];
