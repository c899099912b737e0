/* Signed division and remainder, which the fourth version of the processor has. */
#include "trapline.h"

TL_RAW int signed_division(u8 *buffer, u64 len)
{
    s64 wide = *(s64 *)buffer, by = *(s8 *)(buffer + 8);
    s32 narrow = *(s32 *)(buffer + 12), other = *(s8 *)(buffer + 16);
    s64 sum = 0;

    (void)len;
    if (by)
        sum += wide / by - wide % by;
    if (other)
        sum += narrow / other - narrow % other;
    return (int)(sum ^ sum >> 32);
}
