// Five kernels, each a boot sector: real mode at 0:7c00 → protected mode (BITS 32) or long mode (64).
//   gcc -c -DBITS=64 -DKERNEL=alu kernels.S    with KERNEL one of alu sieve fib med mem
// The long word at offset 4 is the number of rounds of a short lap, the one at 8 of a long lap.
// Laps announce their end by a byte and a newline: WARM after a short one, SHORT, LONG, on the debug
// console at port 0xe9, and less 0x20 on the serial port, for machines without one. Then it halts.

#define GLUE(a, b) a##b
#if BITS == 64
#define REG(name) %r##name
#else
#define REG(name) %e##name
#endif

DATA = 0x20000
CONSOLE = 0xe9
SERIAL = 0x3f8
WARM = 0xe1
SHORT = 0xe2
LONG = 0xe3

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
#if BITS == 64
        // One 2 MB page, identity-mapped.
        mov     $0x1000, %edi
        mov     $0x3000 / 4, %ecx
        xor     %eax, %eax
        rep stosl
        movl    $0x2003, 0x1000
        movl    $0x3003, 0x2000
        movl    $0x0083, 0x3000
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
#endif
        mov     short_lap, %ebp
        mov     $WARM, %bl
        call    announced_lap
        mov     short_lap, %ebp
        mov     $SHORT, %bl
        call    announced_lap
        mov     long_lap, %ebp
        mov     $LONG, %bl
        call    announced_lap
1:      hlt
        jmp     1b

announced_lap:
        mov     %bl, letter
1:      call    KERNEL
        dec     %ebp
        jnz     1b
        mov     letter, %al
        out     %al, $CONSOLE
        and     $~0x20, %al
        mov     $SERIAL, %dx
        out     %al, %dx
        mov     $'\n', %al
        out     %al, $CONSOLE
        ret
letter: .byte   0

#define IS_alu 1
#define IS_sieve 2
#define IS_fib 3
#define IS_med 4
#define IS_mem 5
#define IS(kernel) GLUE(IS_, kernel)

#if IS(KERNEL) == IS_alu
// Arithmetic in registers, one loop branch.
alu:    mov     $1000, %ecx
        mov     $0x12345678, %eax
        mov     %ecx, %edx
1:      add     %edx, %eax
        xor     %eax, %esi
        rol     $5, %eax
        lea     7(REG(si), REG(ax), 2), %edi
        sub     %edi, %edx
        shr     $3, %edi
        or      %edi, %esi
        and     $0x7fffffff, %edx
        dec     %ecx
        jnz     1b
        ret

#elif IS(KERNEL) == IS_sieve
// Primes below 8192, a byte each.
sieve:  mov     $DATA, %edi
        xor     %ecx, %ecx
1:      movb    $1, (REG(di), REG(cx))
        inc     %ecx
        cmp     $8192, %ecx
        jb      1b
        mov     $2, %esi
2:      cmpb    $0, (REG(di), REG(si))
        je      4f
        lea     (REG(si), REG(si)), %ecx
3:      movb    $0, (REG(di), REG(cx))
        add     %esi, %ecx
        cmp     $8192, %ecx
        jb      3b
4:      inc     %esi
        cmp     $91, %esi
        jb      2b
        ret

#elif IS(KERNEL) == IS_fib
// Calls, returns and the stack.
fib:    mov     $15, %edi
number: cmp     $2, %edi
        jae     1f
        mov     %edi, %eax
        ret
1:      push    REG(di)
        dec     %edi
        call    number
        pop     REG(di)
        push    REG(ax)
        sub     $2, %edi
        call    number
        pop     REG(dx)
        add     %edx, %eax
        ret

#elif IS(KERNEL) == IS_med
// Medians of three random numbers: branches that no one can foresee.
med:    mov     $1000, %ecx
        mov     $12345, %eax
        xor     %edi, %edi
1:      imul    $1103515245, %eax, %eax
        add     $12345, %eax
        mov     %eax, %ebx
        shr     $16, %ebx
        imul    $1103515245, %eax, %eax
        add     $12345, %eax
        mov     %eax, %edx
        shr     $16, %edx
        mov     %eax, %esi
        and     $0xffff, %esi
        cmp     %edx, %ebx
        jbe     2f
        xchg    %edx, %ebx
2:      cmp     %esi, %edx
        jbe     4f
        cmp     %esi, %ebx
        jbe     3f
        mov     %ebx, %edx
        jmp     4f
3:      mov     %esi, %edx
4:      add     %edx, %edi
        dec     %ecx
        jnz     1b
        ret

#elif IS(KERNEL) == IS_mem
// Loads and stores over 128 KB.
mem:    mov     $DATA, %esi
        xor     %edx, %edx
1:      mov     (REG(si)), %eax
        add     %eax, %edx
        mov     %edx, 0x10000(REG(si))
        add     $4, %esi
        cmp     $DATA + 0x10000, %esi
        jb      1b
        ret
#endif

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
