import { listing } from "./listing";

/**
 * Real mode to long mode to level 3, then a tour: SYSCALL and back, INT 80h, three faults, and a ruin:
 * INT 81h pushes on a stack that is not there, so #PF becomes #DF on its IST stack, and INT3 without an
 * IDT ends it. Handlers append to the log at 9402h through RDI. Assembled for 7C00h.
 */
export const LONG_TOUR = listing(`
start:
  fa                              | cli
  0f 01 16 3b 7d                  | lgdtw ds:0x7d3b
  0f 20 c0                        | mov eax,cr0
  0c 01                           | or al,0x1
  0f 22 c0                        | mov cr0,eax
  ea 13 7c 18 00                  | jmp 0x18:0x7c13
pm32:
  66 b8 10 00                     | mov ax,0x10
  8e d8                           | mov ds,eax
  8e d0                           | mov ss,eax
  bc 00 90 00 00                  | mov esp,0x9000
  c6 05 00 94 00 00 32            | mov BYTE PTR ds:0x9400,0x32
  0f 20 e0                        | mov eax,cr4
  0c 20                           | or al,0x20
  0f 22 e0                        | mov cr4,eax
  b8 00 10 00 00                  | mov eax,0x1000
  0f 22 d8                        | mov cr3,eax
  b9 80 00 00 c0                  | mov ecx,0xc0000080
  0f 32                           | rdmsr
  0d 01 01 00 00                  | or eax,0x101
  0f 30                           | wrmsr
  0f 20 c0                        | mov eax,cr0
  0d 00 00 00 80                  | or eax,0x80000000
  0f 22 c0                        | mov cr0,eax
  ea 57 7c 00 00 08 00            | jmp 0x8:0x7c57
long64:
  c6 04 25 01 94 00 00 64         | mov BYTE PTR ds:0x9401,0x64
  0f 01 1c 25 41 7d 00 00         | lidt ds:0x7d41
  66 b8 38 00                     | mov ax,0x38
  0f 00 d8                        | ltr ax
  b9 81 00 00 c0                  | mov ecx,0xc0000081
  b8 00 00 00 00                  | mov eax,0x0
  ba 08 00 20 00                  | mov edx,0x200008
  0f 30                           | wrmsr
  ff c1                           | inc ecx
  b8 c9 7c 00 00                  | mov eax,0x7cc9
  31 d2                           | xor edx,edx
  0f 30                           | wrmsr
  b9 84 00 00 c0                  | mov ecx,0xc0000084
  b8 00 02 00 00                  | mov eax,0x200
  0f 30                           | wrmsr
  48 c7 c7 02 94 00 00            | mov rdi,0x9402
  6a 2b                           | push 0x2b
  68 00 60 00 00                  | push 0x6000
  68 02 32 00 00                  | push 0x3202
  6a 33                           | push 0x33
  68 b2 7c 00 00                  | push 0x7cb2
  48 cf                           | iretq
user:
  b8 01 00 00 00                  | mov eax,0x1
  0f 05                           | syscall
  cd 80                           | int 0x80
  0f 0b                           | ud2
  f4                              | hlt
  8a 04 25 50 34 12 00            | mov al,BYTE PTR ds:0x123450
  cd 81                           | int 0x81
spin:
  eb fe                           | jmp 7cc7 <spin>
entry:
  c6 07 05                        | mov BYTE PTR [rdi],0x5
  88 47 01                        | mov BYTE PTR [rdi+0x1],al
  48 83 c7 02                     | add rdi,0x2
  48 0f 07                        | sysretq
soft:
  c6 07 80                        | mov BYTE PTR [rdi],0x80
  66 8c d0                        | mov ax,ss
  88 47 01                        | mov BYTE PTR [rdi+0x1],al
  48 83 c7 02                     | add rdi,0x2
  48 cf                           | iretq
badop:
  c6 07 06                        | mov BYTE PTR [rdi],0x6
  48 ff c7                        | inc rdi
  48 83 04 24 02                  | add QWORD PTR [rsp],0x2
  48 cf                           | iretq
prot:
  c6 07 0d                        | mov BYTE PTR [rdi],0xd
  48 ff c7                        | inc rdi
  48 83 c4 08                     | add rsp,0x8
  48 ff 04 24                     | inc QWORD PTR [rsp]
  48 cf                           | iretq
pagef:
  c6 07 0e                        | mov BYTE PTR [rdi],0xe
  58                              | pop rax
  88 47 01                        | mov BYTE PTR [rdi+0x1],al
  48 83 c7 02                     | add rdi,0x2
  48 83 04 24 07                  | add QWORD PTR [rsp],0x7
  48 cf                           | iretq
final:
  c6 07 81                        | mov BYTE PTR [rdi],0x81
  48 ff c7                        | inc rdi
  48 c7 c4 00 00 20 00            | mov rsp,0x200000
  50                              | push rax
  eb a3                           | jmp 7cc7 <spin>
dfault:
  c6 07 08                        | mov BYTE PTR [rdi],0x8
  48 ff c7                        | inc rdi
  48 89 24 25 00 95 00 00         | mov QWORD PTR ds:0x9500,rsp
  0f 01 1c 25 4b 7d 00 00         | lidt ds:0x7d4b
  cc                              | int3
gdtr:
  47 00 00 80 00 00
idtr:
  ff 0f 00 a0 00 00 00 00 00 00
noidt:
  00 00 00 00 00 00 00 00 00 00
`);

/**
 * Real mode to 32-bit level 3, INT 80h, #GP, a call gate to level 0, virtual-8086 mode by IRET, and two
 * #GPs from there. The log is at 9400h through EDI.
 */
export const LEGACY_TOUR = listing(`
start:
  fa                              | cli
  0f 01 16 f5 7c                  | lgdtw ds:0x7cf5
  0f 20 c0                        | mov eax,cr0
  0c 01                           | or al,0x1
  0f 22 c0                        | mov cr0,eax
  ea 13 7c 18 00                  | jmp 0x18:0x7c13
pm32:
  66 b8 10 00                     | mov ax,0x10
  8e d8                           | mov ds,eax
  8e c0                           | mov es,eax
  8e d0                           | mov ss,eax
  bc 00 90 00 00                  | mov esp,0x9000
  bf 00 94 00 00                  | mov edi,0x9400
  0f 01 1d fb 7c 00 00            | lidtd ds:0x7cfb
  66 b8 38 00                     | mov ax,0x38
  0f 00 d8                        | ltr ax
  6a 2b                           | push 0x2b
  68 00 60 00 00                  | push 0x6000
  6a 02                           | push 0x2
  6a 23                           | push 0x23
  68 46 7c 00 00                  | push 0x7c46
  cf                              | iret
user:
  66 b8 2b 00                     | mov ax,0x2b
  8e d8                           | mov ds,eax
  c6 07 33                        | mov BYTE PTR [edi],0x33
  47                              | inc edi
  cd 80                           | int 0x80
  66 b8 10 00                     | mov ax,0x10
  8e d8                           | mov ds,eax
  9a 00 00 00 00 53 00            | call 0x53:0x0
spin:
  eb fe                           | jmp 7c5f <spin>
soft:
  66 8c d8                        | mov ax,ds
  66 b9 10 00                     | mov cx,0x10
  8e d9                           | mov ds,ecx
  c6 07 80                        | mov BYTE PTR [edi],0x80
  88 47 01                        | mov BYTE PTR [edi+0x1],al
  83 c7 02                        | add edi,0x2
  66 b9 2b 00                     | mov cx,0x2b
  8e d9                           | mov ds,ecx
  cf                              | iret
prot:
  66 bb 10 00                     | mov bx,0x10
  8e db                           | mov ds,ebx
  58                              | pop eax
  f7 44 24 08 00 00 02 00         | test DWORD PTR [esp+0x8],0x20000
  75 14                           | jne 7c9f <from86>
  c6 07 0d                        | mov BYTE PTR [edi],0xd
  88 47 01                        | mov BYTE PTR [edi+0x1],al
  83 c7 02                        | add edi,0x2
  83 04 24 02                     | add DWORD PTR [esp],0x2
  66 bb 2b 00                     | mov bx,0x2b
  8e db                           | mov ds,ebx
  cf                              | iret
from86:
  c6 07 86                        | mov BYTE PTR [edi],0x86
  88 47 01                        | mov BYTE PTR [edi+0x1],al
  66 8b 44 24 18                  | mov ax,WORD PTR [esp+0x18]
  66 89 47 02                     | mov WORD PTR [edi+0x2],ax
  83 c7 04                        | add edi,0x4
  ff 04 24                        | inc DWORD PTR [esp]
  80 7f f8 86                     | cmp BYTE PTR [edi-0x8],0x86
  74 a5                           | je 7c5f <spin>
  cf                              | iret
gate:
  66 bb 10 00                     | mov bx,0x10
  8e db                           | mov ds,ebx
  c6 07 ca                        | mov BYTE PTR [edi],0xca
  66 8c c8                        | mov ax,cs
  88 47 01                        | mov BYTE PTR [edi+0x1],al
  83 c7 02                        | add edi,0x2
  6a 44                           | push 0x44
  6a 33                           | push 0x33
  68 34 12 00 00                  | push 0x1234
  6a 11                           | push 0x11
  68 00 07 00 00                  | push 0x700
  68 fe ff 00 00                  | push 0xfffe
  68 02 00 02 00                  | push 0x20002
  68 c0 07 00 00                  | push 0x7c0
  68 f2 00 00 00                  | push 0xf2
  cf                              | iret
vm86:
  fb                              | sti
  9c                              | pushf
  f4                              | hlt
gdtr:
  5f 00 00 80 00 00
idtr:
  ff 07 00 a0 00 00
`);
