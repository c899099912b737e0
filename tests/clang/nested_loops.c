/* A product of two vectors by nested loops, with a step that depends on both counters. */
#include "trapline.h"

TL_RAW int nested_loops(u8 *buffer, u64 len)
{
    u32 sum = 0;

    (void)len;
    for (u32 i = 0; i < 8; i++)
        for (u32 j = i; j < 8; j++)
            sum += buffer[i] * buffer[8 + j] + (i ^ j);
    return (int)sum;
}
