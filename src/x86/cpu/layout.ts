/**
 * Where everything of the processor lives in the machine's WebAssembly memory. The struct of the
 * running vCPU is at address 0, so that generated code uses constants; parked vCPUs keep a copy of
 * the first `VCPU_BYTES` elsewhere. Little-endian throughout. The only file that knows offsets.
 */

/** Index of the general registers, x86 encoding order. */
export const GPR = {
  rax: 0,
  rcx: 1,
  rdx: 2,
  rbx: 3,
  rsp: 4,
  rbp: 5,
  rsi: 6,
  rdi: 7,
  r8: 8,
  r9: 9,
  r10: 10,
  r11: 11,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
} as const;

/** Segment registers in encoding order, then the two system ones. */
export const SEG = { es: 0, cs: 1, ss: 2, ds: 3, fs: 4, gs: 5, ldtr: 6, tr: 7 } as const;
export type SegIndex = (typeof SEG)[keyof typeof SEG];

/** One hidden segment register: 24 bytes. */
export const SEG_FIELD = {
  /** u64 */
  base: 0,
  /** u32, lowest valid offset; lo > hi means "always take the slow check". */
  lo: 8,
  /** u32, highest valid offset (inclusive). */
  hi: 12,
  /** u32: descriptor bits as in its second dword, shifted right by 8 (type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15). */
  attr: 16,
  /** u16 selector */
  sel: 20,
  /** u16: bit 0 = unusable (null selector). */
  flags: 22,
} as const;
export const SEG_BYTES = 24;

export const S = {
  gpr: 0x000,
  /** Always 0: records use it as "no base" and "no index". */
  zero: 0x080,
  /** Valid at exits only. */
  rip: 0x088,
  /** Lazy flags: result sign-extended to 64 bits. */
  lfRes: 0x090,
  /** Lazy flags: bit 63 = CF, bit 62 = CF xor OF, bit 3 = AF; bits 1, 2 = "PF clear / SF set although res is 0". */
  lfCv: 0x098,
  /** u64: rflags bits that are not arithmetic (TF IF DF IOPL NT RF VM AC VIF VIP ID). */
  rflags: 0x0a0,
  /** i32: instructions left in this slice. */
  budget: 0x0a8,
  /** u32: see `ModeKey`. */
  modeKey: 0x0ac,
  /** i64: instructions this vCPU has retired when its budget was last loaded. */
  retiredBase: 0x0b0,
  exitRec: 0x0b8,
  exitSite: 0x0bc,
  faultVa: 0x0c0,
  faultErr: 0x0c8,
  faultVec: 0x0cc,
  /** u32: nonzero while an interrupt waits at the pin. */
  irqLine: 0x0d0,
  /** u32: DR6 bits of debug traps to deliver after this instruction. */
  pendingDb: 0x0d4,
  /** u32 interrupt shadow: 0 none, 1 STI, 2 MOV SS. */
  shadow: 0x0d8,
  /** u32: 0 running, 1 halted, 2 waiting for SIPI, 3 shut down (triple fault). */
  activity: 0x0dc,
  /** u32: what a jump-cache entry of the present vCPU, mode and translations carries. */
  jumpKey: 0x0e0,
  /** u32: byte offset from `tlb` of the bank to use (`TLB_NONE` makes every access miss). */
  tlbBank: 0x0e4,
  /** u64 masks of linear addresses and of the stack pointer in the present mode. */
  addressMask: 0x0e8,
  stackMask: 0x0f0,
  /** u64 offset and u32 struct address of the segment whose quick limit check failed. */
  segmentOffset: 0x0f8,
  segmentAt: 0x100,
  /** u32: nonzero in 64-bit code. */
  code64: 0x104,
  /** u64: RFLAGS bits POPF may change now; 0 when PUSHF and POPF are #GP (virtual-8086, IOPL < 3). */
  popfMask: 0x108,
  seg: 0x140,
  gdtrBase: 0x200,
  gdtrLimit: 0x208,
  idtrBase: 0x210,
  idtrLimit: 0x218,
  cr0: 0x220,
  cr2: 0x228,
  cr3: 0x230,
  cr4: 0x238,
  cr8: 0x240,
  efer: 0x248,
  xcr0: 0x250,
  /** DR0…DR3, (DR4, DR5 unused), DR6, DR7: 8 x u64 */
  dr: 0x258,
  star: 0x298,
  lstar: 0x2a0,
  cstar: 0x2a8,
  sfmask: 0x2b0,
  kernelGsBase: 0x2b8,
  sysenterCs: 0x2c0,
  sysenterEsp: 0x2c8,
  sysenterEip: 0x2d0,
  tscOffset: 0x2d8,
  tscAux: 0x2e0,
  tscAdjust: 0x2e8,
  pat: 0x2f0,
  apicBase: 0x2f8,
  miscEnable: 0x300,
  debugCtl: 0x308,
  pkru: 0x310,
  mtrrDefType: 0x318,
  /** MTRRs that software may write and read back: 32 x u64. */
  mtrr: 0x320,
  /** PDPTEs cached by MOV CR3 under PAE paging: 4 x u64 (SDM 3A 4.4.1). */
  pdpte: 0x420,
  /** Exception or interrupt accepted but not yet delivered: u32 vector | kind<<8 | valid<<31, u32 error, u64 cr2/DR6. */
  pending: 0x440,
  /** u32: nonzero while NMIs are blocked (from NMI delivery to IRET). */
  nmiBlocked: 0x450,
  nmiPending: 0x454,
  /** x87: 8 x 16 bytes by physical register, then control words. */
  x87: 0x480,
  fcw: 0x500,
  fsw: 0x502,
  ftw: 0x504,
  fop: 0x506,
  fip: 0x508,
  fdp: 0x510,
  mxcsr: 0x518,
  xmm: 0x520,
  /** Bounce slots for page-crossing, device and emulated accesses: 16 x 32 bytes. */
  bounce: 0x800,
  scratch: 0xa00,
  /** TLB: `TLB_BANKS` x `TLB_ENTRIES` x `TLB_BYTES`. */
  tlb: 0x1000,
} as const;

/** 0 user, 1 supervisor, 2 supervisor with EFLAGS.AC set (SMAP does not apply). */
export const TLB_BANKS = 3;
export const TLB_ENTRIES = 1024;
/** One entry: the three tags (i64), the i32 `delta`, and u32 `info`. */
export const TLB_FIELD = { read: 0, write: 8, exec: 16, delta: 24, info: 28 } as const;
export const TLB_BYTES = 32;
/**
 * Translations for instruction fetch, apart so that data never evicts the page that is running.
 * Same entry format, `exec` tag only; bit 0 of the tag is set in entries of the user bank.
 */
export const ITLB = S.tlb + TLB_BANKS * TLB_ENTRIES * TLB_BYTES;
export const ITLB_ENTRIES = 128;
/** What is saved and restored per vCPU: the struct and its TLBs. */
export const VCPU_BYTES = ITLB + ITLB_ENTRIES * TLB_BYTES;

/** rip + modeKey → record address; 16 bytes each. Not state: a cache of the decoder's work. */
export const JUMP_CACHE = 0x1a000;
export const JUMP_CACHE_ENTRIES = 4096;
/** A bank of entries that never match, as an offset from `tlb`: every access asks TypeScript. */
export const TLB_NONE = 0x30000 - S.tlb;
/** First byte after the processor's fixed part. */
export const CPU_FIXED_BYTES = 0x40000;

/** Bits of RFLAGS. */
export const FLAG = {
  CF: 1n << 0n,
  PF: 1n << 2n,
  AF: 1n << 4n,
  ZF: 1n << 6n,
  SF: 1n << 7n,
  TF: 1n << 8n,
  IF: 1n << 9n,
  DF: 1n << 10n,
  OF: 1n << 11n,
  IOPL: 3n << 12n,
  NT: 1n << 14n,
  RF: 1n << 16n,
  VM: 1n << 17n,
  AC: 1n << 18n,
  VIF: 1n << 19n,
  VIP: 1n << 20n,
  ID: 1n << 21n,
} as const;
export const ARITHMETIC_FLAGS = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.OF;

export const CR0 = {
  PE: 1n << 0n,
  MP: 1n << 1n,
  EM: 1n << 2n,
  TS: 1n << 3n,
  ET: 1n << 4n,
  NE: 1n << 5n,
  WP: 1n << 16n,
  AM: 1n << 18n,
  NW: 1n << 29n,
  CD: 1n << 30n,
  PG: 1n << 31n,
} as const;
export const CR4 = {
  VME: 1n << 0n,
  PVI: 1n << 1n,
  TSD: 1n << 2n,
  DE: 1n << 3n,
  PSE: 1n << 4n,
  PAE: 1n << 5n,
  MCE: 1n << 6n,
  PGE: 1n << 7n,
  PCE: 1n << 8n,
  OSFXSR: 1n << 9n,
  OSXMMEXCPT: 1n << 10n,
  UMIP: 1n << 11n,
  LA57: 1n << 12n,
  VMXE: 1n << 13n,
  SMXE: 1n << 14n,
  FSGSBASE: 1n << 16n,
  PCIDE: 1n << 17n,
  OSXSAVE: 1n << 18n,
  SMEP: 1n << 20n,
  SMAP: 1n << 21n,
  PKE: 1n << 22n,
} as const;
/** MSR number of EFER. */
export const EFER_INDEX = 0xc0000080;
export const EFER = {
  SCE: 1n << 0n,
  LME: 1n << 8n,
  LMA: 1n << 10n,
  NX: 1n << 11n,
} as const;
