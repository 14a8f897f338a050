// Descriptor tables, and what happens after traps.S has saved the registers.
#include "traps.h"
#include "console.h"
#include "cpu.h"
#include "user.h"

#define KERNEL_CODE 0x08
#define TASK_STATE 0x28
#define PAGE_FAULT 14
#define DOUBLE_FAULT 8

page_fault_answer *on_page_fault;

// boot.S loads this with 32-bit code, so base and limit must be right at link time.
u64 gdt[7] = {
    0,
    0x00af9b000000ffff, // 0x08 kernel code, 64-bit
    0x00cf93000000ffff, // 0x10 kernel data
    0x00cff3000000ffff, // 0x18 user data
    0x00affb000000ffff, // 0x20 user code, 64-bit
    0, 0,               // 0x28 task state, two slots; traps_start() fills it in
};

struct table_pointer {
  u16 limit;
  u64 base;
} __attribute__((packed));
const struct table_pointer gdt_pointer = {sizeof gdt - 1, (u64)gdt};

// All that 64-bit mode uses of a task-state segment: which stack to take for a trap.
static struct {
  u32 reserved0;
  u64 ring_stack[3];
  u64 reserved1;
  u64 interrupt_stack[7];
  u64 reserved2;
  u16 reserved3, io_map;
} __attribute__((packed)) task_state;

static struct {
  u16 offset_low, selector;
  u8 stack, type;
  u16 offset_middle;
  u32 offset_high, reserved;
} idt[256];

static u8 trap_stack[8 * KB] __attribute__((aligned(16)));
static u8 double_fault_stack[4 * KB] __attribute__((aligned(16)));

extern const u8 trap_entries[], system_call_entry[], attempt_write_store[], attempt_write_failed[];

static void set_gate(int vector, const u8 *handler, int privilege, int stack) {
  u64 offset = (u64)handler;
  idt[vector].offset_low = offset;
  idt[vector].offset_middle = offset >> 16;
  idt[vector].offset_high = offset >> 32;
  idt[vector].selector = KERNEL_CODE;
  idt[vector].stack = stack;
  idt[vector].type = 0x8e | privilege << 5; // present, interrupt gate
}

void traps_start(void) {
  u64 base = (u64)&task_state;
  gdt[5] = 0x0000890000000000 | (sizeof task_state - 1) | (base & 0xffffff) << 16 |
           (base >> 24 & 0xff) << 56;
  gdt[6] = base >> 32;
  task_state.ring_stack[0] = (u64)(trap_stack + sizeof trap_stack);
  task_state.interrupt_stack[0] = (u64)(double_fault_stack + sizeof double_fault_stack);
  task_state.io_map = sizeof task_state;
  asm volatile("ltr %0" : : "r"((u16)TASK_STATE));

  for (int vector = 0; vector < 32; vector++)
    set_gate(vector, trap_entries + 16 * vector, 0, vector == DOUBLE_FAULT ? 1 : 0);
  set_gate(SYSTEM_CALL, system_call_entry, 3, 0);
  struct table_pointer idt_pointer = {sizeof idt - 1, (u64)idt};
  asm volatile("lidt %0" : : "m"(idt_pointer));
}

// Instructions that may fault on purpose, and where to go on when they do.
static const struct {
  const u8 *instruction, *resume;
} attempts[] = {
    {attempt_write_store, attempt_write_failed},
    {user_attempt_read_load, user_attempt_read_failed},
};

// A good place for a breakpoint: every page fault the *guest* sees comes through here. Those that
// only the hypervisor sees do not: to stop on them, use the exception filters.
static void page_fault(struct trap *trap) {
  u64 address = read_control(cr2);
  const char *answer = 0;
  for (u64 i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
    if (trap->rip == (u64)attempts[i].instruction) {
      trap->rip = (u64)attempts[i].resume;
      answer = "skipping the instruction";
    }
  }
  if (!answer && on_page_fault) answer = on_page_fault(address, trap->error);
  say("page fault at %x, error %x (%s%s, %s): %s", address, trap->error,
      trap->error & ERROR_USER ? "user " : "", trap->error & ERROR_WRITE ? "write" : "read",
      trap->error & ERROR_PRESENT ? "not allowed" : "not present", answer ? answer : "no answer");
  if (!answer) give_up("a page fault that no chapter expects");
}

void handle_trap(struct trap *trap) {
  switch (trap->vector) {
    case PAGE_FAULT:
      page_fault(trap);
      break;
    case SYSTEM_CALL:
      if (trap->rdi == CALL_LEAVE) leave_user(trap->rsi);
      // A real kernel would first check that this text is the user's to read.
      if (trap->rdi == CALL_SAY) say("user: %s", trap->rsi);
      break;
    default:
      say("exception %u, error %x, at %x", trap->vector, trap->error, trap->rip);
      give_up("this was not in the programme");
  }
}
