/* Variables of the file: initialised, zeroed, constant; and choices that short-circuit. */
#include "trapline.h"

static u32 calls = 5;
static u64 sums[4];
static const u16 weights[8] = {1, 10, 100, 1000, 3, 30, 300, 3000};

TL_RAW int globals(u8 *buffer, u64 len)
{
    u32 value = 0;

    for (u32 i = 0; i < 8; i++)
        if ((buffer[i] & 1 && weights[buffer[i] & 7] > 50) || buffer[i] > 250)
            value += weights[i & 7];
    calls += value;
    sums[buffer[8] & 3] = calls + len;
    return (int)(calls + sums[0] + sums[3] * 2);
}
