/* Signed loads, shifts, comparisons and products of every width. */
#include "trapline.h"

TL_RAW int signed_numbers(u8 *buffer, u64 len)
{
    s8 a = *(s8 *)buffer;
    s16 b = *(s16 *)(buffer + 2);
    s32 c = *(s32 *)(buffer + 4);
    s64 d = *(s64 *)(buffer + 8);
    s64 most = a > b ? a : b;

    (void)len;
    if (c < most)
        most += c >> 3;
    if (d < 0)
        most -= d >> 40;
    most += (s64)a * b + ((s64)c * a >> 5);
    most += c < 0 ? -(s64)c : c;
    return (int)(most ^ most >> 32);
}
