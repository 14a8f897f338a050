  .cfi_sections .debug_frame
  .text

// bool user_attempt_read(const u64 *address): false if the load faulted. The page-fault handler
// knows this one instruction, and resumes behind it instead of trying again.
  .globl user_attempt_read, user_attempt_read_load, user_attempt_read_failed
  .type user_attempt_read, @function
user_attempt_read:
  .cfi_startproc
  xor %eax, %eax
user_attempt_read_load:
  mov (%rdi), %rdx
  inc %eax
user_attempt_read_failed:
  ret
  .cfi_endproc
  .size user_attempt_read, . - user_attempt_read
  .section .note.GNU-stack, "", @progbits
