#pragma once

// Writes "[chapter] text" and a new line on the serial port. Knows %s, %u (decimal) and
// %x (hexadecimal with 0x), the numbers all being u64.
void say(const char *format, ...);

// Starts a chapter: `say` puts its number before each line from here on.
void chapter(u64 number, const char *title);

// A line outside any chapter.
void say_plain(const char *text);
