import { Code, flatGdt, guestImage, idt } from "./guest-code";

const GDT = 0x110000;
const IDT = 0x111000;
const HANDLER = 0x112000;
/** Sum of what was read back, and page faults taken. */
export const SUM = 0x113000;
export const FAULTS = 0x113004;
/** The pages that the window maps, one after the other. */
const PAGES = 0x120000;
export const WINDOW = 0x800000;
/** A page that is mapped by the handler when it is first used. */
const LAZY = WINDOW + 0x1000;

export const SHORT = { directory: 0x140000, table: 0x141000 };
export const PAE = { pointers: 0x150020, directory: 0x151000, table: 0x152000 };

const P_W_A_D = 0x63;
const LARGE = 0x80;
const CR0_PAGING = 0x80010001;
const CR4_PSE = 0x10;
const CR4_PAE = 0x20;

const u32 = (value: number): number[] => [0, 8, 16, 24].map((n) => (value >>> n) & 0xff);
const control = (register: number, value: number): number[] => [
  0xb8,
  ...u32(value),
  0x0f,
  0x22,
  0xc0 | (register << 3),
];

/** Maps each of eight pages at `WINDOW` in turn, adds to it there, and sums what the pages hold. */
function window(code: Code, entry: number): Code {
  code.raw(0xbb, ...u32(8)); // mov ebx, 8
  const loop = code.here;
  code.raw(0x89, 0xd8, 0xc1, 0xe0, 12); // mov eax, ebx; shl eax, 12
  code.raw(0x05, ...u32(PAGES | P_W_A_D)); // add eax, first page
  code.raw(0xa3, ...u32(entry)); // mov [entry], eax
  code.raw(0x0f, 0x01, 0x3d, ...u32(WINDOW)); // invlpg [window]
  code.raw(0x01, 0x1d, ...u32(WINDOW)); // add [window], ebx
  code.raw(0x8b, 0x0d, ...u32(WINDOW)); // mov ecx, [window]
  code.raw(0x01, 0x0d, ...u32(SUM)); // add [sum], ecx
  code.raw(0x4b); // dec ebx
  code.raw(0x75, (loop - code.here - 2) & 0xff); // jnz
  return code.increment(LAZY);
}

const bytesOf = (entries: Readonly<Record<number, number>>, size: 4 | 8): Uint8Array => {
  const view = new DataView(new ArrayBuffer(4096));
  for (const [index, entry] of Object.entries(entries))
    view.setUint32(size * Number(index), entry, true);
  return new Uint8Array(view.buffer);
};

/** 32-bit paging, PAE, and 32-bit again over the same memory; each maps the lazy page by a fault. */
export function shortGuest(): Uint8Array {
  const code = new Code().stack(0x180000).lgdt(GDT).lidt(IDT);
  const next = code.here + 7;
  code.raw(0xea, ...u32(next), 8, 0); // far jump: CS from our GDT
  code.raw(0x66, 0xb8, 16, 0, 0x8e, 0xd0, 0x8e, 0xd8, 0x8e, 0xc0); // ss, ds, es
  const short = (): Code => {
    code.raw(...control(4, CR4_PSE), ...control(3, SHORT.directory), ...control(0, CR0_PAGING));
    return window(code, SHORT.table).print("s");
  };
  const off = (): Code => code.raw(...control(0, 1));
  short();
  off().raw(...control(4, CR4_PAE), ...control(3, PAE.pointers), ...control(0, CR0_PAGING));
  window(code, PAE.table).print("p");
  off();
  short();
  off().store(SHORT.table + 4, 0);
  short();
  code.raw(0xa1, ...u32(SUM), 0xba, ...u32(0xf4), 0xef); // mov eax, [sum]; out 0xf4, eax
  const handler = new Code(HANDLER).increment(FAULTS);
  for (const entry of [SHORT.table + 4, PAE.table + 8]) handler.store(entry, 0x130000 | P_W_A_D);
  handler.raw(0x83, 0xc4, 4).iret; // the error code
  return guestImage(
    code,
    { at: GDT, bytes: flatGdt(GDT) },
    { at: IDT, bytes: idt(IDT, { 14: HANDLER }) },
    { at: HANDLER, bytes: handler.build() },
    { at: SUM, bytes: new Uint8Array(4096) },
    { at: PAGES, bytes: new Uint8Array(0x11000) },
    {
      at: SHORT.directory,
      bytes: bytesOf({ 0: P_W_A_D | LARGE, 2: SHORT.table | P_W_A_D }, 4),
    },
    { at: SHORT.table, bytes: new Uint8Array(4096) },
    { at: PAE.pointers, bytes: bytesOf({ 0: PAE.directory | 1 }, 8).subarray(0, 32) },
    {
      at: PAE.directory,
      bytes: bytesOf(
        { 0: P_W_A_D | LARGE, 1: 0x200000 | P_W_A_D | LARGE, 4: PAE.table | P_W_A_D },
        8,
      ),
    },
    { at: PAE.table, bytes: new Uint8Array(4096) },
  );
}
