// Chapter 6: a 2 MB page, split into 512 small ones.
//
// An entry of level 2 with the PS bit maps 2 MB at once. A shadow MMU can only mirror it as one
// spte where the host memory behind it is large too; otherwise it makes a "direct" shadow page with
// 4 KB sptes, for a table that the guest does not have. See role.direct in Shadow Roots.
#include "chapters.h"
#include "console.h"
#include "cpu.h"
#include "paging.h"
#include "traps.h"

#define DATA (WRITABLE | USER | NO_EXECUTE)

void large_pages(void) {
  chapter(6, "large pages");
  volatile u64 *start = (u64 *)SPLIT;
  volatile u64 *end = (u64 *)(SPLIT + LARGE_PAGE_SIZE - PAGE_SIZE);

  entry *directory = entry_of(kernel_root, SPLIT, 2);
  *directory = LARGE_FRAME | DATA | PRESENT | LARGE;
  *start = 0x57a27;
  *end = 0xe2d;
  say("one entry maps 2 MB: %x ... %x", *start, *end);

  // The same memory through a level-1 table; only then can its pages have different rights.
  entry *small = new_table();
  for (u64 i = 0; i < ENTRIES; i++) small[i] = (LARGE_FRAME + i * PAGE_SIZE) | DATA | PRESENT;
  small[ENTRIES - 1] &= ~WRITABLE;

  // A store into a level-2 table. Those never go unsync: the hypervisor executes the store itself,
  // and drops whatever it had built below the old entry.
  *directory = (u64)small | PRESENT | WRITABLE | USER;
  invlpg(start);
  invlpg(end);

  say("512 entries map the same: %x ... %x", *start, *end);
  bool first_written = attempt_write(start, 1);
  bool last_written = attempt_write(end, 1);
  say("the first page is %s, the last is %s", first_written ? "writable" : "read-only",
      last_written ? "writable" : "read-only");
}
