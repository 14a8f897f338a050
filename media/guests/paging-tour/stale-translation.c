// Chapter 4: a translation that is out of date.
//
// The processor does not re-read page tables; it remembers translations in its TLB. Whoever
// changes an entry must say so, with invlpg.
//
// A shadow MMU lives off this rule. The first store into the level-1 table faults, for the table is
// write-protected; the hypervisor then gives up protecting it and marks its shadow page `unsync`:
// allowed to differ from the guest's table until the guest says invlpg (or reloads CR3). Stop on
// the line of each store and look at Unsync Pages.
#include "chapters.h"
#include "console.h"
#include "cpu.h"
#include "paging.h"

#define OLD 0x01d
#define NEW 0x2e3

void stale_translation(void) {
  chapter(4, "a stale translation");
  u64 *old_page = new_frame();
  u64 *new_page = new_frame();
  *old_page = OLD;
  *new_page = NEW;
  map(kernel_root, REMAPPED, (u64)old_page, WRITABLE | USER | NO_EXECUTE);
  entry *leaf = entry_of(kernel_root, REMAPPED, 1);
  volatile u64 *remapped = (u64 *)REMAPPED;

  u64 before = *remapped; // fills the TLB, and under a shadow MMU the spte
  *leaf = (u64)new_page | WRITABLE | USER | NO_EXECUTE | PRESENT;
  u64 without = *remapped; // the old frame still, though the table says otherwise
  invlpg(remapped);        // the hypervisor repairs this one spte; its page stays unsync
  u64 with = *remapped;

  say("before the change: %x", before);
  say("after it, without invlpg: %x, %s", without, without == OLD ? "stale" : "not stale this time");
  say("after invlpg: %x", with);

  // Loading CR3, even with the same value, forgets everything. The hypervisor compares all unsync
  // pages below the root with the guest's tables and write-protects those again: step over it, and
  // Unsync Pages is empty.
  write_control(cr3, kernel_root);
}
