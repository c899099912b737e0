/* Unsigned division and remainder, by what may be zero and by constants, 64 and 32 bits wide. */
#include "trapline.h"

TL_RAW int division(u8 *buffer, u64 len)
{
    u64 wide = *(u64 *)buffer, by = *(u64 *)(buffer + 8);
    u32 narrow = *(u32 *)(buffer + 16), other = *(u32 *)(buffer + 20);
    u64 sum = 0;

    (void)len;
    if (by)
        sum += wide / by + wide % by;
    if (other)
        sum += narrow / other + narrow % other;
    sum += wide / 10 + wide % 1000000007 + narrow / 3 + narrow % 7;
    return (int)(sum ^ sum >> 32);
}
