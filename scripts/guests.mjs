// `npm run guests`: rebuilds the sample guests from source, to the same bytes for the same compiler.
//   node scripts/guests.mjs           writes the ELF files
//   node scripts/guests.mjs --check   only compares; fails where a file would change
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const GUESTS = ["paging-tour"];
const COMPILER = process.env.CC ?? "gcc";
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const check = process.argv.includes("--check");

/** -Og and frame pointers for pleasant stepping; no SSE and no red zone, for this code is a kernel. */
const COMPILE = [
  ..."-m64 -std=gnu11 -Og -g -gdwarf-5 -ffreestanding -fno-omit-frame-pointer".split(" "),
  ..."-mgeneral-regs-only -mno-red-zone -mcmodel=small -fno-pie -fcf-protection=none".split(" "),
  ..."-fno-stack-protector -fno-asynchronous-unwind-tables -fno-common".split(" "),
  ..."-Wall -Wextra -Werror".split(" "),
  // The working directory is the repository: debug information says media/guests/… and no more.
  `-ffile-prefix-map=${root}=.`,
];
const LINK = "-m64 -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096".split(
  " ",
);

/** Runs the compiler in the repository's root; a failure ends the script with the compiler's words. */
function compile(what, ...args) {
  const { status, error } = spawnSync(COMPILER, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, LC_ALL: "C", PWD: root },
  });
  if (error) {
    fail(
      `cannot run "${COMPILER}" (${error.code}): the guests need gcc and GNU binutils for x86-64; ` +
        "install them, or name a cross compiler with CC=x86_64-linux-gnu-gcc. " +
        "The prebuilt files in media/guests stay as they are.",
    );
  }
  if (status !== 0) fail(`${COMPILER} refused ${what}`);
}

function fail(message) {
  console.error(`guests: ${message}`);
  process.exit(1);
}

/** The bytes of a guest's ELF, built from every .c and .S of its folder. */
function build(guest) {
  const folder = `media/guests/${guest}`;
  const objects = mkdtempSync(path.join(tmpdir(), "guest-"));
  process.on("exit", () => rmSync(objects, { recursive: true, force: true }));
  const sources = readdirSync(path.join(root, folder)).filter((f) => /\.[cS]$/.test(f));
  const built = sources.sort().map((source) => {
    const object = path.join(objects, `${path.parse(source).name}${path.extname(source)}.o`);
    compile(`${folder}/${source}`, ...COMPILE, "-o", object, "-c", `${folder}/${source}`);
    return object;
  });
  const elf = path.join(objects, `${guest}.elf`);
  compile(`${guest}.elf`, ...LINK, "-T", `${folder}/${guest}.ld`, "-o", elf, ...built);
  return readFileSync(elf);
}

for (const guest of GUESTS) {
  const file = `media/guests/${guest}/${guest}.elf`;
  const bytes = build(guest);
  let before = Buffer.alloc(0);
  try {
    before = readFileSync(path.join(root, file));
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  const same = bytes.equals(before);
  if (same) console.log(`${file}: ${bytes.length} bytes, unchanged`);
  else if (check)
    fail(`${file} would change: run "npm run guests", or use the compiler its README names`);
  else {
    writeFileSync(path.join(root, file), bytes);
    console.log(`${file}: ${bytes.length} bytes, written`);
  }
}
