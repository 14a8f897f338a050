// The guest's page tables, four levels of 512 entries:
//   level 4 PML4 -> level 3 page-directory-pointer table -> level 2 page directory -> level 1 page table
#pragma once

#include "base.h"

// One entry of any level (KVM's word: gpte), and a table of 512 of them.
typedef volatile u64 entry;

#define PRESENT (1ul << 0)
#define WRITABLE (1ul << 1)
#define USER (1ul << 2)
#define LARGE (1ul << 7)
#define NO_EXECUTE (1ul << 63)
#define FRAME_MASK 0x000ffffffffff000ul

#define PAGE_SIZE (4 * KB)
#define LARGE_PAGE_SIZE (2 * MB)
#define ENTRIES 512

// Where things are. The kernel is linked at 1 MB and every physical address below the end of
// memory is mapped to itself, so tables can be written through plain pointers.
#define TABLE_POOL (2 * MB)   // physical: page tables come from here
#define FRAME_POOL (4 * MB)   // physical: pages of data come from here
#define LARGE_FRAME (8 * MB)  // physical: the 2 MB frame of chapter 6

// The gvas the chapters play with, each below its own level-1 table.
#define LAZY 0x40000000ul      // chapter 3: mapped by the page-fault handler
#define REMAPPED 0x40277000ul  // chapter 4: one address, two frames
#define SHARED 0x40400000ul    // chapter 5: the same in both address spaces
#define SPLIT 0x40800000ul     // chapter 6: a 2 MB page, then 512 small ones
#define GUARDED 0x40a00000ul   // chapter 7: user, read-only
#define USER_CODE 0x40c00000ul // chapter 8: the user program (paging-tour.ld links it here)
#define USER_STACK 0x40e00000ul
#define PRIVATE 0x8000000000ul // chapter 5: different in each; PML4 entry 1

// The top table of the address space that chapter 2 builds.
extern entry *kernel_root;

// A cleared page for a table or for data. Nothing is ever given back.
entry *new_table(void);
u64 *new_frame(void);

// The entry of `level` for `address` below `root`; the tables above it are made where missing.
entry *entry_of(entry *root, u64 address, int level);

// Points the level-1 entry of `address` at a frame.
void map(entry *root, u64 address, u64 frame, u64 flags);
