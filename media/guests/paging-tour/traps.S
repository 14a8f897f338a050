// Where exceptions and int 0x80 arrive: save the registers, call handle_trap(), restore, go back.

  .cfi_sections .debug_frame
  .text

// The processor pushed SS, RSP, RFLAGS, CS, RIP, and for some vectors an error code. A zero stands
// in where there is none, so that every vector has the same `struct trap`.
  .macro trap_entry vector, has_error_code
  .balign 16
  .cfi_startproc simple
  .cfi_signal_frame
  .cfi_def_cfa rsp, 40 + 8 * \has_error_code
  .cfi_offset rip, -40
  .cfi_offset rsp, -16
  .if !\has_error_code
  push $0
  .cfi_def_cfa_offset 48
  .endif
  push $\vector
  .cfi_def_cfa_offset 56
  jmp save_and_handle
  .cfi_endproc
  .endm

  .macro save register
  push %\register
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset \register, 0
  .endm

  .macro restore register
  pop %\register
  .cfi_adjust_cfa_offset -8
  .cfi_restore \register
  .endm

  .globl trap_entries
  .type trap_entries, @function
  .balign 16
trap_entries:                  // 16 bytes each: vector v enters at trap_entries + 16 * v
  .irp vector, 0, 1, 2, 3, 4, 5, 6, 7
  trap_entry \vector, 0
  .endr
  trap_entry 8, 1              // double fault
  trap_entry 9, 0
  .irp vector, 10, 11, 12, 13, 14
  trap_entry \vector, 1        // task state, segment, stack, general protection, page fault
  .endr
  trap_entry 15, 0
  trap_entry 16, 0
  trap_entry 17, 1             // alignment check
  .irp vector, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  trap_entry \vector, 0
  .endr
  .size trap_entries, . - trap_entries

  .balign 16
  .globl system_call_entry
  .type system_call_entry, @function
system_call_entry:
  trap_entry 0x80, 0
  .size system_call_entry, . - system_call_entry

  .type save_and_handle, @function
save_and_handle:
  .cfi_startproc simple
  .cfi_signal_frame
  .cfi_def_cfa rsp, 56
  .cfi_offset rip, -40
  .cfi_offset rsp, -16
  save r15
  save r14
  save r13
  save r12
  save r11
  save r10
  save r9
  save r8
  save rbp
  save rdi
  save rsi
  save rdx
  save rcx
  save rbx
  save rax
  cld
  mov %rsp, %rdi
  call handle_trap
  restore rax
  restore rbx
  restore rcx
  restore rdx
  restore rsi
  restore rdi
  restore rbp
  restore r8
  restore r9
  restore r10
  restore r11
  restore r12
  restore r13
  restore r14
  restore r15
  add $16, %rsp                // vector and error code
  .cfi_def_cfa_offset 40
  iretq
  .cfi_endproc
  .size save_and_handle, . - save_and_handle

// bool attempt_write(u64 *address, u64 value): false if the store faulted. The page-fault handler
// knows this one instruction, and resumes behind it instead of trying again.
  .globl attempt_write, attempt_write_store, attempt_write_failed
  .type attempt_write, @function
attempt_write:
  .cfi_startproc
  xor %eax, %eax
attempt_write_store:
  mov %rsi, (%rdi)
  inc %eax
attempt_write_failed:
  ret
  .cfi_endproc
  .size attempt_write, . - attempt_write

// u64 run_user(u64 entry, u64 stack): goes to ring 3 by "returning" from an interrupt that never
// was. Comes back through leave_user().
  .globl run_user
  .type run_user, @function
run_user:
  .cfi_startproc
  push %rbp
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset rbp, 0
  mov %rsp, %rbp
  .cfi_def_cfa_register rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, kernel_stack_to_resume
  push $0x1b                   // SS: user data, privilege 3
  push %rsi                    // RSP
  push $0x2                    // RFLAGS: interrupts off, no I/O
  push $0x23                   // CS: user code, privilege 3
  push %rdi                    // RIP
  xor %ebp, %ebp
  iretq
  .cfi_endproc
  .size run_user, . - run_user

// void leave_user(u64 value): returns `value` from run_user() a second time, so to speak.
  .globl leave_user
  .type leave_user, @function
leave_user:
  .cfi_startproc
  mov %rdi, %rax
  mov kernel_stack_to_resume, %rsp
  .cfi_def_cfa rsp, 56
  .cfi_offset rbp, -16
  .cfi_offset rbx, -24
  .cfi_offset r12, -32
  .cfi_offset r13, -40
  .cfi_offset r14, -48
  .cfi_offset r15, -56
  restore r15
  restore r14
  restore r13
  restore r12
  restore rbx
  restore rbp
  ret
  .cfi_endproc
  .size leave_user, . - leave_user

  .bss
  .balign 8
kernel_stack_to_resume:
  .skip 8
  .section .note.GNU-stack, "", @progbits
