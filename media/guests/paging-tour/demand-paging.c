// Chapter 3: demand paging.
//
// The guest promises itself 16 pages and maps none of them. The first touch of each faults, the
// handler maps a fresh page, and the processor tries the instruction again.
//
// Each touch costs two faults under a shadow MMU. The first, "not present" in the guest's own
// tables, is the guest's to handle: the hypervisor reflects it. The second the guest never
// sees: its entry is there now, the shadow entry (spte) is not, and the hypervisor makes it.
// To watch: stop on exceptions with the `pf` filter.
#include "chapters.h"
#include "console.h"
#include "paging.h"
#include "traps.h"

#define LAZY_PAGES 16

static const char *map_fresh_page(u64 address, u64 error) {
  if (address < LAZY || address >= LAZY + LAZY_PAGES * PAGE_SIZE) return 0;
  if (error & ERROR_PRESENT) return 0;
  map(kernel_root, address, (u64)new_frame(), WRITABLE | USER | NO_EXECUTE);
  return "mapping a fresh page"; // no invlpg: a TLB does not remember "not present"
}

void demand_paging(void) {
  chapter(3, "demand paging");
  on_page_fault = map_fresh_page;
  volatile u64 *first = (u64 *)LAZY;
  volatile u64 *second = (u64 *)(LAZY + PAGE_SIZE);

  *first = 1; // faults, error code 2
  *first = 2; // does not

  u64 zero = *second; // faults, error code 0
  // This one the guest never sees. Its entry is writable but not yet dirty, and the hypervisor must
  // not miss the moment when it becomes so: it made the spte read-only. Compare gpte and spte
  // before and after.
  *second = zero + 1;

  say("the pages hold %u and %u", *first, *second);
  on_page_fault = 0;
}
