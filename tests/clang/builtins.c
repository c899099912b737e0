/* memcpy, memset and memcmp-like comparison of structures, as the compiler expands them. */
#include "trapline.h"

struct parts {
    u8 head[3];
    u8 body[17];
    u32 tail;
};

TL_RAW int builtins(u8 *buffer, u64 len)
{
    struct parts parts, copy;

    (void)len;
    __builtin_memset(&parts, 0x5a, sizeof(parts));
    __builtin_memcpy(parts.body, buffer + 5, sizeof(parts.body));
    parts.tail = buffer[40];
    copy = parts;
    __builtin_memcpy(buffer + 32, &copy, sizeof(copy));
    return (int)(buffer[32] + (buffer[35] << 8) + (buffer[51] << 16) + (copy.tail & 1));
}
