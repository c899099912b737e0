/* Byte orders, by builtins and by hand. */
#include "trapline.h"

TL_RAW int byte_swaps(u8 *buffer, u64 len)
{
    u16 half = __builtin_bswap16(*(u16 *)buffer);
    u32 word = __builtin_bswap32(*(u32 *)(buffer + 4));
    u64 wide = __builtin_bswap64(*(u64 *)(buffer + 8));
    u32 by_hand = (u32)buffer[16] << 24 | (u32)buffer[17] << 16 | (u32)buffer[18] << 8 | buffer[19];

    (void)len;
    return (int)(half ^ word ^ (u32)wide ^ (u32)(wide >> 32) ^ by_hand);
}
