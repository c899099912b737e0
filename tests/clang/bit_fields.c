/* Bit fields within and across bytes, signed and unsigned. */
#include "trapline.h"

struct bits {
    u32 a : 3;
    u32 b : 7;
    u32 c : 1;
    s32 d : 9;
    u32 e : 12;
    u64 f : 33;
    u64 g : 31;
};

TL_RAW int bit_fields(u8 *buffer, u64 len)
{
    struct bits *bits = (struct bits *)buffer;
    int sum = (int)(bits->a + bits->b * 3 + bits->c * 5 + (u32)bits->d * 7 + bits->e + (u32)bits->f + (u32)bits->g);

    (void)len;
    bits->b = bits->e;
    bits->d = -3;
    bits->f = bits->g;
    return sum + (int)(*(u32 *)buffer ^ *(u32 *)(buffer + 8) ^ *(u32 *)(buffer + 12));
}
