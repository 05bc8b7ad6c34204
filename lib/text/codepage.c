#include "text/codepage.h"

#include <stdio.h>

#include "base/mem.h"
#include "text/encoding.h"

unsigned codepage_of_charset(int charset, unsigned otherwise)
{
    static const struct {
        int charset;
        unsigned codepage;
    } table[] = {{0, 1252},   {77, 10000}, {128, 932},  {129, 949},  {130, 1361}, {134, 936},
                 {136, 950},  {161, 1253}, {162, 1254}, {163, 1258}, {177, 1255}, {178, 1256},
                 {186, 1257}, {204, 1251}, {222, 874},  {238, 1250}, {254, 437},  {255, 850}};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].charset == charset)
            return table[i].codepage;
    return otherwise;
}

void codepage_convert(struct buf *out, const char *p, size_t len, unsigned codepage)
{
    char number[24];
    snprintf(number, sizeof number, "CP%u", codepage);
    const char *name = codepage == 10000   ? "MACINTOSH"
                       : codepage == 1361  ? "JOHAB"
                       : codepage == 65001 ? "UTF-8"
                                           : number;
    if (!encoding_convert(out, p, len, name))
        encoding_convert(out, p, len, "WINDOWS-1252");
}
