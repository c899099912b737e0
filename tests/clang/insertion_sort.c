/* A sort in place, in the buffer: loops whose bounds depend on each other, and stores at variable offsets. */
#include "trapline.h"

TL_RAW int insertion_sort(u8 *buffer, u64 len)
{
    u32 result = 0;

    (void)len;
    for (u32 i = 1; i < 12; i++) {
        u8 value = buffer[i];
        u32 at = i;

        while (at > 0 && buffer[(at - 1) & 15] > value) {
            buffer[at & 15] = buffer[(at - 1) & 15];
            at--;
        }
        buffer[at & 15] = value;
    }
    for (u32 i = 0; i < 12; i++)
        result = result * 7 + buffer[i];
    return (int)result;
}
