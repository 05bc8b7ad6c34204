/* unicode: the table of classes says of every character what its category says. */
#include "tap.h"

#include "text/unicode.h"

static unsigned class_by_category(uint32_t c)
{
    const char *category = unicode_category(c);
    if ((c >= '\t' && c <= '\r') || c == 0x85)
        return UNICODE_SPACE;
    switch (category[0]) {
    case 'L':
        return category[1] == 'l' ? UNICODE_L | UNICODE_LOWER
               : category[1] == 'u' || category[1] == 't'
                   ? UNICODE_L | UNICODE_UPPER
                   : UNICODE_L | UNICODE_UPPER | UNICODE_LOWER;
    case 'M':
        return UNICODE_M | UNICODE_UPPER | UNICODE_LOWER;
    case 'N':
        return UNICODE_N;
    case 'P':
        return UNICODE_P;
    case 'S':
        return UNICODE_S;
    default:
        return category[0] == 'Z' ? UNICODE_SPACE : 0;
    }
}

int main(void)
{
    struct unicode u;
    uint32_t first = 0;
    size_t differ = 0;
    unicode_init(&u);
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (unicode_class(&u, c) == class_by_category(c))
            continue;
        first = differ ? first : c;
        differ++;
    }
    tap_ok(!differ, "%zu characters have another class, U+%04X the first", differ, first);
    unicode_release(&u);
    return tap_done();
}
