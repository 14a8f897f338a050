// One function a chapter, in the order in which tour() calls them. Chapter 1 is boot.S.
#pragma once

#include "base.h"

void build_page_tables(u64 memory); // 2: `memory` in bytes
void demand_paging(void);           // 3
void stale_translation(void);       // 4
void two_address_spaces(void);      // 5
void large_pages(void);             // 6
void write_protect(void);           // 7
void ring3(void);                   // 8
