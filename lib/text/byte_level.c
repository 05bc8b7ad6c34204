#include "text/byte_level.h"

uint32_t byte_level_char(uint8_t byte)
{
    if ((byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad))
        return byte;
    if (byte <= ' ')
        return 256u + byte;
    if (byte <= 0xa0)
        return 256u + 33u + (byte - 0x7fu);
    return 256u + 67u;
}

int byte_level_byte(uint32_t c)
{
    if ((c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xff && c != 0xad))
        return (int)c;
    if (c < 256 || c > 256 + 67)
        return -1;
    c -= 256;
    return c <= ' ' ? (int)c : c < 67 ? (int)(c - 33 + 0x7f) : 0xad;
}
