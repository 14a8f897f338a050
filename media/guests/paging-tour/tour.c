// A tour of x86 paging, made to be stepped through under a debugger that shows page tables and
// what a shadow MMU builds from them. Set a breakpoint on any function named in chapters.h.
#include "base.h"
#include "chapters.h"
#include "console.h"
#include "cpu.h"
#include "traps.h"

#define MULTIBOOT_LOADED 0x2badb002
#define MULTIBOOT_HAS_MEMORY 1

// The start of what a multiboot loader hands over.
struct boot_information {
  u32 flags;
  u32 lower_kb, upper_kb; // below 640 KB; from 1 MB on
};

#define POWER_CONTROL 0x604    // ACPI PM1a control, where QEMU and Penumbra have it
#define POWER_OFF (1 << 13)    // SLP_EN, sleep type 0
#define DEBUG_EXIT 0xf4

static void power_off(void) {
  out16(POWER_CONTROL, POWER_OFF);
  for (int i = 0; i < 1000000; i++) asm volatile("pause"); // some machines take a moment
  out32(DEBUG_EXIT, 0); // still here: there is no ACPI
  for (;;) asm volatile("cli; hlt");
}

void give_up(const char *why) {
  say("giving up: %s", why);
  out32(DEBUG_EXIT, 1);
  for (;;) asm volatile("cli; hlt");
}

void tour(u32 magic, const struct boot_information *information) {
  say_plain("paging-tour");
  chapter(1, "long mode");
  if (magic != MULTIBOOT_LOADED) give_up("not started by a multiboot loader");
  if (!(information->flags & MULTIBOOT_HAS_MEMORY)) give_up("the loader does not tell the memory size");
  say("64-bit code at %x, on the boot tables at %x", (u64)tour, read_control(cr3));
  traps_start();

  build_page_tables(information->upper_kb * KB + 1 * MB);
  demand_paging();
  stale_translation();
  two_address_spaces();
  large_pages();
  write_protect();
  ring3();

  say_plain("paging-tour: all chapters done");
  power_off();
}
