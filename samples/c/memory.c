/* What a compiler calls for copies and clears of structures, even in a program without a C library. */

#include "guest.h"

void *memcpy(void *to, const void *from, u64 size)
{
    u8 *target = to;
    const u8 *source = from;
    while (size--)
        *target++ = *source++;
    return to;
}

void *memset(void *to, int value, u64 size)
{
    u8 *target = to;
    while (size--)
        *target++ = value;
    return to;
}
