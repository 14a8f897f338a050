#include "paging.h"

entry *kernel_root;

static u64 next_table = TABLE_POOL;
static u64 next_frame = FRAME_POOL;

static u64 *cleared_page(u64 *next) {
  u64 *page = (u64 *)*next;
  *next += PAGE_SIZE;
  for (int i = 0; i < ENTRIES; i++) page[i] = 0;
  return page;
}

// Tables and data have a 2 MB region each. A hypervisor write-protects tables it shadows; keeping
// them together leaves the large pages of the identity map around them undisturbed.
entry *new_table(void) { return cleared_page(&next_table); }
u64 *new_frame(void) { return cleared_page(&next_frame); }

// Each level translates nine bits of the address: 47:39, 38:30, 29:21, 20:12.
static int index_at(u64 address, int level) { return (address >> (12 + 9 * (level - 1))) & 511; }

entry *entry_of(entry *root, u64 address, int level) {
  entry *table = root;
  for (int at = 4; at > level; at--) {
    entry *upper = &table[index_at(address, at)];
    // Rights are the AND of all levels; the upper ones allow everything, and the leaf decides.
    if (!(*upper & PRESENT)) *upper = (u64)new_table() | PRESENT | WRITABLE | USER;
    table = (entry *)(*upper & FRAME_MASK);
  }
  return &table[index_at(address, level)];
}

void map(entry *root, u64 address, u64 frame, u64 flags) {
  *entry_of(root, address, 1) = frame | flags | PRESENT;
}
