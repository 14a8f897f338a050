// A boot sector that costs a hypervisor with shadow paging one fault a page: long mode, 4 KB pages.
// It maps 256 MB at 1 GB (virtual) to itself at 0 and reads one byte of each page, as many pages as the
// long word at 4 says, from 2 MB on. Announcements as in kernels.S: WARM when the tables are ready, SHORT
// when all pages were touched once (the faults), LONG when they were touched again (none).

CONSOLE = 0xe9
WARM = 0xe1
SHORT = 0xe2
LONG = 0xe3
PAGES_FROM = 0x40200000
TABLES = 0x100000               // 128 page tables, 512 KB

        .code16
        .globl  _start
_start: jmp     begin
        .org    4
pages:  .long   1
        .long   0

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
        mov     $0x4000 / 4, %ecx
        xor     %eax, %eax
        rep stosl
        movl    $0x2003, 0x1000
        movl    $0x3003, 0x2000         // 0: a 2 MB page for this code
        movl    $0x4003, 0x2008         // 1 GB: page tables
        movl    $0x0083, 0x3000
        mov     $0x4000, %edi
        mov     $TABLES + 3, %eax
1:      mov     %eax, (%edi)
        add     $8, %edi
        add     $0x1000, %eax
        cmp     $TABLES + 3 + 128 * 0x1000, %eax
        jb      1b
        mov     $TABLES, %edi
        mov     $3, %eax
2:      mov     %eax, (%edi)
        movl    $0, 4(%edi)
        add     $8, %edi
        add     $0x1000, %eax
        cmp     $0x10000003, %eax
        jb      2b
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
        or      $0x80000000, %eax
        mov     %eax, %cr0
        ljmp    $0x18, $long_mode

        .code64
long_mode:
        mov     $WARM, %al
        call    announce
        call    touch
        mov     $SHORT, %al
        call    announce
        call    touch
        mov     $LONG, %al
        call    announce
1:      hlt
        jmp     1b

announce:
        out     %al, $CONSOLE
        mov     $'\n', %al
        out     %al, $CONSOLE
        ret

touch:  mov     pages, %ecx
        mov     $PAGES_FROM, %esi
1:      mov     (%rsi), %al
        add     $0x1000, %rsi
        dec     %ecx
        jnz     1b
        ret

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff
        .quad   0x00cf93000000ffff
        .quad   0x00af9b000000ffff
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt

        .org    510
        .word   0xaa55
