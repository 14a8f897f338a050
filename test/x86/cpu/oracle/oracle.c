// Executes instructions natively, one case at a time: stdin → stdout. The layout of both streams, and of
// the test's address space, is in native.ts and address-space.ts; x86-64 Linux only.
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096
#define FIXED (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE)

struct space { uint64_t code, codePages, scratch, writablePages, readOnlyPages, gsBase; };
struct input {
  uint64_t gpr[16], rip, flags;
  uint16_t cs, patches;
  uint32_t codeBytes;
  uint8_t code[16];
};
struct patch { uint32_t at, length; uint8_t bytes[16]; };
struct output { uint64_t gpr[16], rip, flags, cr2; uint32_t trap, error, changes, unused; };
struct change { uint16_t at, value; };

// Frame slots of the registers in x86 encoding order.
static const int slot[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                             REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
static struct input in;
static struct output out;
static gregset_t home;

static void enter(int sig, siginfo_t *info, void *context) {
  greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
  memcpy(home, regs, sizeof home);
  for (int n = 0; n < 16; n++) regs[slot[n]] = in.gpr[n];
  regs[REG_RIP] = in.rip;
  regs[REG_EFL] = in.flags;
  regs[REG_CSGSFS] = (regs[REG_CSGSFS] & ~0xffffLL) | in.cs;
}

static void leave(int sig, siginfo_t *info, void *context) {
  // The handler inherits AC, NT and ID, which POPF may have set; returning keeps the last two.
  __asm__ volatile("pushfq; andl $~0x244000, (%%rsp); popfq" ::: "cc", "memory");
  greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
  for (int n = 0; n < 16; n++) out.gpr[n] = regs[slot[n]];
  out.rip = regs[REG_RIP];
  out.flags = regs[REG_EFL];
  out.cr2 = regs[REG_CR2];
  out.trap = regs[REG_TRAPNO];
  out.error = regs[REG_ERR];
  memcpy(regs, home, sizeof home);
}

static void *map(uint64_t at, uint64_t pages, int rights) {
  void *got = mmap((void *)at, pages * PAGE, rights, FIXED, -1, 0);
  if (got != (void *)at) { perror("oracle: mmap"); exit(2); }
  return got;
}

static void must_read(void *to, size_t bytes) {
  if (fread(to, 1, bytes, stdin) != bytes) { fputs("oracle: short input\n", stderr); exit(2); }
}

int main(void) {
  struct space space;
  must_read(&space, sizeof space);
  uint8_t *code = map(space.code, space.codePages, PROT_READ | PROT_WRITE | PROT_EXEC);
  uint64_t pages = space.writablePages + space.readOnlyPages;
  uint8_t *scratch = map(space.scratch, pages, PROT_READ | PROT_WRITE);
  must_read(scratch, pages * PAGE);
  size_t writable = space.writablePages * PAGE;
  mprotect(scratch + writable, space.readOnlyPages * PAGE, PROT_READ);
  uint8_t *baseline = malloc(writable), *before = malloc(writable);
  memcpy(baseline, scratch, writable);
  memset(code, 0xcc, space.codePages * PAGE);

  syscall(SYS_arch_prctl, ARCH_SET_GS, space.gsBase);
  __asm__ volatile("mov %0, %%ds; mov %0, %%es" ::"r"(0x2b));
  stack_t alternate = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
  sigaltstack(&alternate, 0);
  struct sigaction action = {.sa_sigaction = enter, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGUSR1, &action, 0);
  action.sa_sigaction = leave;
  const int traps[] = {SIGTRAP, SIGSEGV, SIGFPE, SIGILL, SIGBUS};
  for (int n = 0; n < 5; n++) sigaction(traps[n], &action, 0);

  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memcpy(scratch, baseline, writable);
    for (int n = 0; n < in.patches; n++) {
      struct patch patch;
      must_read(&patch, sizeof patch);
      memcpy(scratch + patch.at, patch.bytes, patch.length);
    }
    memcpy(before, scratch, writable);
    memcpy((void *)in.rip, in.code, in.codeBytes);
    raise(SIGUSR1);
    memset((void *)in.rip, 0xcc, in.codeBytes);
    struct change changed[512];
    out.changes = 0;
    for (size_t at = 0; at < writable; at += 8) {
      if (!memcmp(scratch + at, before + at, 8)) continue;
      for (size_t byte = at; byte < at + 8; byte++)
        if (scratch[byte] != before[byte] && out.changes < 512)
          changed[out.changes++] = (struct change){byte, scratch[byte]};
    }
    fwrite(&out, sizeof out, 1, stdout);
    fwrite(changed, sizeof changed[0], out.changes, stdout);
    fflush(stdout);
  }
  return 0;
}
