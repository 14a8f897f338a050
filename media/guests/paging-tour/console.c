// The tour's voice: a serial port, one byte at a time.
#include "base.h"
#include "console.h"
#include "cpu.h"

#define SERIAL 0x3f8
#define LINE_STATUS (SERIAL + 5)
#define TRANSMITTER_EMPTY 0x20

static u64 current_chapter;

static void put(char c) {
  while (!(in8(LINE_STATUS) & TRANSMITTER_EMPTY)) {
  }
  out8(SERIAL, c);
}

static void put_text(const char *text) {
  while (*text) put(*text++);
}

static void put_number(u64 value, u64 base) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  while (count) put(digits[--count]);
}

void say(const char *format, ...) {
  __builtin_va_list arguments;
  __builtin_va_start(arguments, format);
  put('[');
  put_number(current_chapter, 10);
  put_text("] ");
  for (; *format; format++) {
    if (*format != '%') {
      put(*format);
      continue;
    }
    switch (*++format) {
      case 's':
        put_text(__builtin_va_arg(arguments, const char *));
        break;
      case 'u':
        put_number(__builtin_va_arg(arguments, u64), 10);
        break;
      case 'x':
        put_text("0x");
        put_number(__builtin_va_arg(arguments, u64), 16);
        break;
    }
  }
  put('\n');
  __builtin_va_end(arguments);
}

void chapter(u64 number, const char *title) {
  current_chapter = number;
  say("%s", title);
}

void say_plain(const char *text) {
  put_text(text);
  put('\n');
}
