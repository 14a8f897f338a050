// A flat image that forks and execs without end: long mode, ring 0 with CR0.WP set, so that its stores
// mind read-only pages as a program's would. The parent has 64 pages. A round is:
//   fork   new tables; all entries copied, read-only and marked COW; CR3 reloaded; the child runs
//   child  writes 8 pages: each faults and is copied, its entry set, INVLPG
//   exec   other new tables; the old ones are taken down and given back
//   run    writes 24 pages: each faults and gets a page of zeros; then reads all of them
//   exit   these tables are taken down; the parent writes 8 pages: each faults and gets W back
// Frames given back are used again at once, as tables or as data. All memory is mapped at 0 by 2 MB pages,
// as kernels do, and tables are written there. Laps and announcements as in kernels.S.

CONSOLE = 0xe9
WARM = 0xe1
SHORT = 0xe2
LONG = 0xe3
POINTERS = 0x2000               // of the kernel half, shared by all address spaces
IDT = 0x5000
FREE_LIST = 0x100000
FIRST_FREE = 0x400000
END_FREE = 0x2000000
BASE = 0x8000000000             // entry 1 of the top table
PAGES = 64
COPIED = 8
ZEROED = 24
COW = 1 << 9

        .code16
        .globl  _start
_start: jmp     begin
        .org    4
short_lap: .long 1
long_lap:  .long 3

begin:  cli
        xor     %ax, %ax
        mov     %ax, %ds
        lgdtl   gdt_pointer
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmpl   $0x08, $protected

        .code32
protected:
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $0x7000, %esp
        mov     $0x1000, %edi
        mov     $0x5000 / 4, %ecx
        xor     %eax, %eax
        rep stosl
        movl    $POINTERS + 3, 0x1000
        movl    $0x3003, POINTERS
        mov     $0x3000, %edi
        mov     $0x83, %eax
1:      mov     %eax, (%edi)
        add     $8, %edi
        add     $0x200000, %eax
        cmp     $END_FREE, %eax
        jb      1b
        mov     %cr4, %eax
        or      $0x20, %eax
        mov     %eax, %cr4
        mov     $0x1000, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x100, %eax
        wrmsr
        mov     %cr0, %eax
        or      $0x80010000, %eax
        mov     %eax, %cr0
        ljmp    $0x18, $long_mode

        .code64
// r15 end of the list of free frames; r12, r13 the parent's top table and its last one; r14 the last
// table of the space that runs.
long_mode:
        mov     $page_fault, %eax
        mov     %ax, IDT + 14 * 16
        movw    $0x18, IDT + 14 * 16 + 2
        movw    $0x8e00, IDT + 14 * 16 + 4
        shr     $16, %eax
        mov     %ax, IDT + 14 * 16 + 6
        lidt    idt_pointer
        mov     $FREE_LIST, %r15d
        mov     $FIRST_FREE, %eax
1:      mov     %rax, (%r15)
        add     $8, %r15
        add     $0x1000, %eax
        cmp     $END_FREE, %eax
        jb      1b
        call    new_space
        mov     %rax, %r12
        mov     %rbx, %r13
        mov     %rbx, %r14
        mov     %r12, %cr3
        mov     $PAGES, %ecx
        call    write_pages

        mov     short_lap, %ebp
        call    lap
        mov     $WARM, %al
        call    announce
        mov     short_lap, %ebp
        call    lap
        mov     $SHORT, %al
        call    announce
        mov     long_lap, %ebp
        call    lap
        mov     $LONG, %al
        call    announce
1:      hlt
        jmp     1b

announce:
        out     %al, $CONSOLE
        mov     $'\n', %al
        out     %al, $CONSOLE
        ret

lap:    call    round
        dec     %ebp
        jnz     lap
        ret

round:  call    new_space               // fork
        mov     %rax, %r10
        mov     %rbx, %r11
        mov     %r13, %rsi
        mov     %r11, %rdi
        mov     $PAGES, %ecx
1:      mov     (%rsi), %rax
        and     $~2, %rax
        or      $COW, %rax
        mov     %rax, (%rsi)
        mov     %rax, (%rdi)
        add     $8, %rsi
        add     $8, %rdi
        dec     %ecx
        jnz     1b
        mov     %r12, %cr3
        mov     %r11, %r14              // the child runs
        mov     %r10, %cr3
        mov     $COPIED, %ecx
        call    write_pages
        call    new_space               // exec
        mov     %rax, %r8
        mov     %rbx, %r9
        mov     %r9, %r14
        mov     %r8, %cr3
        mov     %r10, %rdi
        mov     %r11, %rsi
        call    free_space
        mov     $ZEROED, %ecx           // run
        call    write_pages
        movabs  $BASE, %rsi
        mov     $ZEROED * 512, %ecx
        xor     %eax, %eax
1:      add     (%rsi), %rax
        add     $8, %rsi
        dec     %ecx
        jnz     1b
        mov     %r13, %r14              // exit
        mov     %r12, %cr3
        mov     %r8, %rdi
        mov     %r9, %rsi
        call    free_space
        mov     $COPIED, %ecx
        jmp     write_pages

// Writes a byte of each of the first ecx pages.
write_pages:
        movabs  $BASE, %rdi
1:      movb    $1, (%rdi)
        add     $0x1000, %rdi
        dec     %ecx
        jnz     1b
        ret

// rax: a frame of zeros. Clobbers rcx, rdi.
new_page:
        sub     $8, %r15
        mov     (%r15), %rdi
        push    %rdi
        mov     $512, %ecx
        xor     %eax, %eax
        rep stosq
        pop     %rax
        ret

// Tables of an empty address space: rax the top one, rbx the last.
new_space:
        call    new_page
        mov     %rax, %rbx              // last
        call    new_page
        mov     %rax, %rdx
        lea     7(%rbx), %rcx
        mov     %rcx, (%rdx)            // directory
        call    new_page
        lea     7(%rdx), %rcx
        mov     %rcx, (%rax)            // pointers
        mov     %rax, %rdx
        call    new_page
        movq    $POINTERS + 3, (%rax)
        lea     7(%rdx), %rcx
        mov     %rcx, 8(%rax)
        ret

// Gives back the tables of a space, rdi the top one and rsi the last, and the pages that are its own.
free_space:
        mov     %rsi, %rdx
        mov     $PAGES, %ecx
1:      mov     (%rdx), %rax
        test    %rax, %rax
        jz      2f
        movq    $0, (%rdx)
        test    $COW, %eax
        jnz     2f
        and     $~0xfff, %rax
        mov     %rax, (%r15)
        add     $8, %r15
2:      add     $8, %rdx
        dec     %ecx
        jnz     1b
        mov     8(%rdi), %rax           // pointers
        and     $~0xfff, %rax
        mov     (%rax), %rdx            // directory
        and     $~0xfff, %rdx
        mov     %rsi, (%r15)
        mov     %rdx, 8(%r15)
        mov     %rax, 16(%r15)
        mov     %rdi, 24(%r15)
        add     $32, %r15
        ret

page_fault:
        push    %rax
        push    %rbx
        push    %rcx
        push    %rsi
        push    %rdi
        mov     %cr2, %rbx
        mov     %rbx, %rax
        shr     $9, %rax
        and     $0xff8, %eax
        lea     (%r14, %rax), %rsi      // the entry
        mov     (%rsi), %rax
        test    %rax, %rax
        jz      2f
        cmp     %r13, %r14
        je      3f
        sub     $8, %r15                // a copy
        mov     (%r15), %rdi
        push    %rdi
        push    %rsi
        and     $~0xfff, %rax
        mov     %rax, %rsi
        mov     $512, %ecx
        rep movsq
        pop     %rsi
        pop     %rax
        or      $7, %eax
        jmp     4f
2:      call    new_page                // zeros
        or      $7, %eax
        jmp     4f
3:      and     $~COW, %rax             // the last owner
        or      $2, %eax
4:      mov     %rax, (%rsi)
        invlpg  (%rbx)
        pop     %rdi
        pop     %rsi
        pop     %rcx
        pop     %rbx
        pop     %rax
        add     $8, %rsp
        iretq

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff
        .quad   0x00cf93000000ffff
        .quad   0x00af9b000000ffff
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt
idt_pointer:
        .word   15 * 16 - 1
        .quad   IDT
