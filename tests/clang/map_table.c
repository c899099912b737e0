/* An array in the value of a map, at an index that the input chooses. */
#include "trapline.h"

struct table {
    u32 counts[16];
    u64 total;
};

TL_ARRAY(tables, struct table, 1);

TL_RAW int map_table(u8 *buffer, u64 len)
{
    u32 zero = 0, most = 0;
    struct table *table = tl_lookup(&tables, &zero);

    (void)len;
    if (!table)
        return -1;
    for (u32 i = 0; i < 16; i++)
        table->counts[i] = 0;
    table->total = 0;
    for (u32 i = 0; i < 64; i++) {
        table->counts[buffer[i] & 15] += i;
        table->total += buffer[i];
    }
    for (u32 i = 0; i < 16; i++)
        if (table->counts[i] > table->counts[most & 15])
            most = i;
    return (int)(most << 24 | (table->total & 0xffffff));
}
