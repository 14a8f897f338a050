// Names for sizes, so that no header outside this folder is needed.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef _Bool bool;

#define true 1
#define false 0
#define KB 1024ul
#define MB (1024 * KB)
