/* A dense switch, which becomes comparisons or a table of constants; a sparse one; one that falls through. */
#include "trapline.h"

TL_RAW int switch_table(u8 *buffer, u64 len)
{
    int value;

    (void)len;
    switch (buffer[0] & 15) {
    case 0: value = 31; break;
    case 1: value = 7; break;
    case 2: value = 255; break;
    case 3: value = 12; break;
    case 4: value = 99; break;
    case 5: value = 1; break;
    case 6: value = 64; break;
    case 7: value = 5; break;
    case 8: value = 77; break;
    default: value = 1000;
    }
    switch (buffer[1]) {
    case 3: value += 1; /* fallthrough */
    case 200: value += 2; break;
    case 17: value += buffer[2]; break;
    default: value -= 4;
    }
    return value;
}
