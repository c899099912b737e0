/* A structure on the stack, filled and read by functions that get its address. */
#include "trapline.h"

struct point {
    s32 x, y;
    u64 weight;
};

TL_FUNCTION void fill(struct point *point, const u8 *from)
{
    point->x = from[0] - 100;
    point->y = from[1] * 2;
    point->weight = (u64)from[2] << 33 | from[3];
}

TL_FUNCTION s64 measure(const struct point *point)
{
    return point->x * 3 + point->y + (s64)(point->weight >> 32);
}

TL_RAW int by_pointer(u8 *buffer, u64 len)
{
    struct point points[2];

    (void)len;
    fill(&points[0], buffer);
    fill(&points[1], buffer + 4);
    return (int)(measure(&points[0]) - measure(&points[1]));
}
