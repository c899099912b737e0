/* FNV-1a with 32 bits and a mixing step with 64: multiplications and rotations that wrap. */
#include "trapline.h"

TL_RAW int hash_bytes(u8 *buffer, u64 len)
{
    u32 hash = 0x811c9dc5;
    u64 mixed = len;

    for (u32 i = 0; i < 64; i++) {
        hash = (hash ^ buffer[i]) * 0x01000193;
        mixed = (mixed << 13 | mixed >> 51) ^ hash;
        mixed *= 0x9e3779b97f4a7c15ull;
    }
    return (int)(hash ^ (u32)(mixed >> 32));
}
