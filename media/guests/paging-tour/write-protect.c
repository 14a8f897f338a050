// Chapter 7: CR0.WP, the supervisor's respect for read-only pages.
//
// With WP clear, ring 0 may write to read-only pages. A shadow MMU cannot simply let it: the
// processor below it always runs with WP set. It plays a trick with the spte of a user page instead:
// after a supervisor write, writable but not for users; after a user read, for users but not writable.
// Compare gpte and spte of GUARDED after each attempt. The role of the shadow pages has a bit for
// CR0.WP, so each setting has a root of its own.
#include "chapters.h"
#include "console.h"
#include "cpu.h"
#include "paging.h"
#include "traps.h"

static void attempt(const char *setting) {
  static u64 value;
  bool written = attempt_write((u64 *)GUARDED, ++value);
  say("%s: the write %s, the page holds %u", setting, written ? "succeeds" : "is refused",
      *(volatile u64 *)GUARDED);
}

void write_protect(void) {
  chapter(7, "write protect");
  map(kernel_root, GUARDED, (u64)new_frame(), USER | NO_EXECUTE);

  attempt("WP set");
  write_control(cr0, read_control(cr0) & ~CR0_WP);
  attempt("WP clear");
  write_control(cr0, read_control(cr0) | CR0_WP);
  attempt("WP set again");
}
