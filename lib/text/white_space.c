#include "text/white_space.h"

#include "base/utf8.h"

bool is_white_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

size_t white_space_runs(const char *text, size_t len)
{
    size_t runs = 0;
    bool inside = false;
    unsigned n;
    for (size_t i = 0; i < len; i += n) {
        bool space = is_white_space(utf8_char((const unsigned char *)text + i, &n));
        runs += space && !inside;
        inside = space;
    }
    return runs;
}
