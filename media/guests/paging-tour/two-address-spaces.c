// Chapter 5: two address spaces that share tables.
//
// A second PML4 whose entry 0 points to the same lower tables as the first: the kernel and all the
// chapters' pages exist in both. Entry 1 leads to different tables, so PRIVATE is a different page
// in each. An operating system does the same with its processes.
//
// A shadow MMU keeps a root for each PML4 it has seen, and one shadow page for each table, however
// many point there: in Shadow Roots the two trees meet below entry 0.
#include "chapters.h"
#include "console.h"
#include "cpu.h"
#include "paging.h"

#define DATA (WRITABLE | USER | NO_EXECUTE)

static volatile u64 *const private_page = (u64 *)PRIVATE;
static volatile u64 *const shared_page = (u64 *)SHARED;

static u64 *frame_holding(u64 value) {
  u64 *frame = new_frame();
  *frame = value;
  return frame;
}

void two_address_spaces(void) {
  chapter(5, "two address spaces");
  entry *first = kernel_root;
  entry *second = new_table();
  second[0] = first[0];
  map(first, SHARED, (u64)frame_holding(0x5a), DATA);
  map(first, PRIVATE, (u64)frame_holding(0xa), DATA);
  map(second, PRIVATE, (u64)frame_holding(0xb), DATA);

  say("first space:  private %x, shared %x", *private_page, *shared_page);

  write_control(cr3, second); // a new root, most of whose tables are already shadowed
  say("second space: private %x, shared %x", *private_page, *shared_page);
  *shared_page = 0x5b;

  write_control(cr3, first); // a root seen before: found, not built
  say("first space:  private %x, shared %x", *private_page, *shared_page);

  // Loading CR3 forgets all translations at once. The store below makes a shadow page unsync; the
  // load, of the same value, makes the hypervisor compare and repair it. No invlpg is needed.
  entry *leaf = entry_of(first, SHARED, 1);
  u64 *other_frame = frame_holding(0x5c);
  *leaf = (u64)other_frame | DATA | PRESENT;
  write_control(cr3, first);
  say("after a remap and a reload of CR3: shared %x", *shared_page);
}
