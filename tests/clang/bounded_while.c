/* A while over a buffer that ends at a value or at the end. */
#include "trapline.h"

TL_RAW int bounded_while(u8 *buffer, u64 len)
{
    u32 at = 0, seen = 0;

    (void)len;
    while (at < 64 && buffer[at] != 7) {
        seen += buffer[at] & 1;
        at++;
    }
    return (int)(at << 8 | seen);
}
