/* Comparison with a constant, byte by byte, wherever in the buffer it stands. */
#include "trapline.h"

static const char wanted[] = "abc";

TL_RAW int string_compare(u8 *buffer, u64 len)
{
    (void)len;
    for (u32 at = 0; at < 60; at++) {
        u32 same = 0;

        while (same < 3 && buffer[at + same] == (u8)wanted[same])
            same++;
        if (same == 3)
            return (int)at;
    }
    return -1;
}
