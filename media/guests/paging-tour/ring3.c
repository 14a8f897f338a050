// Chapter 8: a short trip to ring 3.
//
// The U bit divides an address space: pages without it are for the supervisor only. The user
// program (user.c) says hello, tries to read the kernel, is refused, and leaves by int 0x80.
//
// The fault it takes has bit 2 set (user) and bit 0 (present: a matter of rights). A shadow MMU
// finds the refusal in the guest's own entry, and reflects it.
#include "chapters.h"
#include "console.h"
#include "paging.h"
#include "traps.h"
#include "user.h"

extern u8 user_loaded_at[], user_size[]; // from paging-tour.ld

void ring3(void) {
  chapter(8, "ring 3");
  // The program was loaded behind the kernel; give it the addresses it was linked for.
  for (u64 offset = 0; offset < (u64)user_size; offset += PAGE_SIZE)
    map(kernel_root, USER_CODE + offset, (u64)user_loaded_at + offset, USER);
  map(kernel_root, USER_STACK, (u64)new_frame(), WRITABLE | USER | NO_EXECUTE);

  // The topmost word stays zero: the return address of a program that has nowhere to return to.
  u64 left_behind = run_user((u64)user_main, USER_STACK + PAGE_SIZE - sizeof(u64));
  say("back in ring 0, with %u", left_behind);
}
