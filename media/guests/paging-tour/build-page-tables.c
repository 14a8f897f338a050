// Chapter 2: page tables of our own.
//
// The boot tables allowed everything everywhere. The new ones map the same addresses with rights:
// the kernel in 4 KB pages (code read-only, data not executable), the rest of memory in 2 MB pages,
// and nothing at address 0, so that a null pointer faults.
#include "chapters.h"
#include "console.h"
#include "cpu.h"
#include "paging.h"

extern const u8 text_start[], text_end[], rodata_end[]; // from paging-tour.ld

static u64 kernel_rights(u64 address) {
  if (address >= (u64)text_start && address < (u64)text_end) return 0;
  if (address >= (u64)text_end && address < (u64)rodata_end) return NO_EXECUTE;
  return WRITABLE | NO_EXECUTE;
}

void build_page_tables(u64 memory) {
  chapter(2, "page tables");
  kernel_root = new_table();

  for (u64 page = PAGE_SIZE; page < LARGE_PAGE_SIZE; page += PAGE_SIZE)
    map(kernel_root, page, page, kernel_rights(page));

  for (u64 page = LARGE_PAGE_SIZE; page < memory; page += LARGE_PAGE_SIZE)
    *entry_of(kernel_root, page, 2) = page | PRESENT | WRITABLE | LARGE | NO_EXECUTE;

  // Writing these tables was nothing special: to the processor, and to a hypervisor, they were
  // plain data. The next instruction makes them page tables. A shadow MMU now looks up a root for
  // them: step over it, and a second root appears in Shadow Roots, all but empty. It fills as
  // faults come in, one table at a time, each gfn in it write-protected from then on.
  write_control(cr3, kernel_root);

  say("identity map of %u MB, root at %x", (memory + MB - 1) / MB, (u64)kernel_root);
}
