/* The serial console: each byte is one `out`, and so one VM exit. */

#include "guest.h"

#define COM1 0x3f8

static void put(char character)
{
    out8(COM1, character);
}

void print(const char *text)
{
    while (*text)
        put(*text++);
}

/* Digits come last first; recursion turns them around. Break in here and look at the call stack. */
static void print_digits(u64 number, unsigned base)
{
    if (number >= base)
        print_digits(number / base, base);
    put("0123456789abcdef"[number % base]);
}

void print_number(long number)
{
    u64 magnitude = number;
    if (number < 0) {
        put('-');
        magnitude = -magnitude;
    }
    print_digits(magnitude, 10);
}

void print_hex(u64 number, int digits)
{
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
        put("0123456789abcdef"[number >> shift & 15]);
}
