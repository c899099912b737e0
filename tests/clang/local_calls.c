/* Functions that stay functions, three deep, each with a frame of its own, called from several places. */
#include "trapline.h"

TL_FUNCTION u32 inner(u32 value, u32 add)
{
    return value * 31 + add;
}

TL_FUNCTION u32 middle(const u8 *bytes, u32 start)
{
    u8 kept[8];
    u32 value = start;

    __builtin_memcpy(kept, bytes, sizeof(kept));
    __asm__ volatile("" : : "r"(kept) : "memory");
    for (u32 i = 0; i < 8; i++)
        value = inner(value, kept[i]);
    return value;
}

TL_RAW int local_calls(u8 *buffer, u64 len)
{
    u32 first = middle(buffer, (u32)len);

    return (int)inner(middle(buffer + 8, first), first);
}
