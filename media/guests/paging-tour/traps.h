#pragma once

#include "base.h"

// What traps.S leaves on the stack, lowest address first.
struct trap {
  u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
  u64 vector, error;
  u64 rip, cs, rflags, rsp, ss;
};

// Bits of a page fault's error code.
#define ERROR_PRESENT 1 // the page was there, its rights said no
#define ERROR_WRITE 2
#define ERROR_USER 4

// What a chapter does about a page fault: it says what it did, and the instruction is tried again.
// Nothing to say means that it has no answer.
typedef const char *page_fault_answer(u64 address, u64 error);

// The present chapter's answer; without one, a fault outside an attempt ends the tour.
extern page_fault_answer *on_page_fault;

// Loads GDT, TSS and IDT.
void traps_start(void);

// In traps.S.
bool attempt_write(volatile u64 *address, u64 value);
u64 run_user(u64 entry, u64 stack);
void leave_user(u64 value) __attribute__((noreturn));

// Ends the tour with a failure.
void give_up(const char *why) __attribute__((noreturn));
