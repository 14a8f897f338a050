// Instructions that C has no words for. They are macros, not functions, so that a debugger shows
// each one on the line of the chapter that uses it.
#pragma once

#include "base.h"

// CR0.WP: the supervisor, too, respects read-only pages.
#define CR0_WP (1ul << 16)

#define read_control(name)                                                                         \
  ({                                                                                               \
    u64 value_;                                                                                    \
    asm volatile("mov %%" #name ", %0" : "=r"(value_));                                            \
    value_;                                                                                        \
  })
#define write_control(name, value) asm volatile("mov %0, %%" #name : : "r"(value) : "memory")

// Forget the translation of one page. Everything else stays in the TLB.
#define invlpg(address) asm volatile("invlpg (%0)" : : "r"(address) : "memory")

#define in8(port)                                                                                  \
  ({                                                                                               \
    u8 value_;                                                                                     \
    asm volatile("inb %1, %0" : "=a"(value_) : "Nd"((u16)(port)));                                 \
    value_;                                                                                        \
  })
#define out8(port, value) asm volatile("outb %0, %1" : : "a"((u8)(value)), "Nd"((u16)(port)))
#define out16(port, value) asm volatile("outw %0, %1" : : "a"((u16)(value)), "Nd"((u16)(port)))
#define out32(port, value) asm volatile("outl %0, %1" : : "a"((u32)(value)), "Nd"((u16)(port)))
