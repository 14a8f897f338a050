// What the kernel and the user program of chapter 8 agree on.
#pragma once

#include "base.h"

#define SYSTEM_CALL 0x80
#define CALL_SAY 0   // rsi: a text
#define CALL_LEAVE 1 // rsi: the value that run_user() returns

// The user program's first instruction.
void user_main(void);

// In user-attempt.S, with its one instruction that may fault and where to go on then.
bool user_attempt_read(const u64 *address);
extern const u8 user_attempt_read_load[], user_attempt_read_failed[];
