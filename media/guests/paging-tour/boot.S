// Chapter 1: from the loader to 64-bit code.
//
// A multiboot loader leaves the processor in 32-bit protected mode with paging off: every address
// is a physical address. Under a shadow MMU even this needs page tables (the processor below the
// hypervisor always pages), so look at Shadow Roots here: its root is "direct", built from the
// memory slots alone, for the guest has no tables yet.

#define MULTIBOOT_MAGIC 0x1BADB002
#define MULTIBOOT_FLAGS 0x2 // tell us how much memory there is

  .cfi_sections .debug_frame

  .section .multiboot, "a"
  .balign 4
  .long MULTIBOOT_MAGIC
  .long MULTIBOOT_FLAGS
  .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

  .text
  .code32
  .globl _start
  .type _start, @function
_start:
  .cfi_startproc
  .cfi_undefined 16           // (rip) nobody called us: a stack trace ends here
  mov %eax, %edi               // the loader's magic number: tour()'s first argument
  mov %ebx, %esi               // the loader's information: its second
  mov $boot_stack_top, %esp

  .globl enter_long_mode
enter_long_mode:
  // Long mode wants four things, in this order: 1. page-table entries of 64 bits,
  mov %cr4, %eax
  or $(1 << 5), %eax           // CR4.PAE
  mov %eax, %cr4

  // 2. a four-level table,
  mov $boot_pml4, %eax
  mov %eax, %cr3

  // 3. permission (EFER.LME), and with it the no-execute bit (EFER.NXE),
  mov $0xc0000080, %ecx
  rdmsr
  or $((1 << 8) | (1 << 11)), %eax
  wrmsr

  // 4. and paging itself. From the next instruction on, each fetch is translated; it goes on
  // undisturbed only because the tables map this code to where it is. WP makes the supervisor
  // respect read-only pages: chapter 7 plays with it.
  mov %cr0, %eax
  or $((1 << 31) | (1 << 16)), %eax // CR0.PG | CR0.WP
  mov %eax, %cr0

  // Still 32-bit code, in "compatibility mode", until CS holds a 64-bit segment.
  lgdt gdt_pointer
  ljmp $0x08, $long_mode
  .cfi_endproc
  .size _start, . - _start

  .code64
  .globl long_mode
  .type long_mode, @function
long_mode:
  .cfi_startproc
  .cfi_undefined 16
  mov $0x10, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  xor %eax, %eax
  mov %eax, %fs
  mov %eax, %gs
  mov $boot_stack_top, %rsp
  mov %edi, %edi               // the upper halves are undefined after the switch
  mov %esi, %esi
  xor %ebp, %ebp
  call tour
1:
  cli
  hlt
  jmp 1b
  .cfi_endproc
  .size long_mode, . - long_mode

// The first tables, just enough to get to C: 64 MB in 2 MB pages, address = physical address.
// Entry bits: 1 present, 2 writable, 0x80 this entry maps a large page.
  .data
  .balign 4096
  .globl boot_pml4
boot_pml4:
  .quad boot_pdpt + 0x3
  .skip 4096 - 8
boot_pdpt:
  .quad boot_pd + 0x3
  .skip 4096 - 8
boot_pd:
  .set page, 0
  .rept 32
  .quad page + 0x83
  .set page, page + 0x200000
  .endr
  .skip 4096 - 32 * 8

  .bss
  .balign 16
  .skip 16384
boot_stack_top:
  .section .note.GNU-stack, "", @progbits
