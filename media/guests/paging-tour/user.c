// The user program of chapter 8. The linker gives it addresses of its own (USER_CODE), and it runs
// in ring 3: pages without the U bit are not for it.
#include "user.h"

#define KERNEL_CODE_ADDRESS 0x100000ul

static void system_call(u64 call, u64 argument) {
  asm volatile("int %0" : : "i"(SYSTEM_CALL), "D"(call), "S"(argument) : "memory");
}

void user_main(void) {
  system_call(CALL_SAY, (u64) "hello from ring 3");
  // The kernel's first page is present, but its entry has no U bit: error code 5.
  bool allowed = user_attempt_read((const u64 *)KERNEL_CODE_ADDRESS);
  system_call(CALL_SAY, (u64)(allowed ? "I can read the kernel!" : "the kernel is not for me"));
  system_call(CALL_LEAVE, 42);
}
