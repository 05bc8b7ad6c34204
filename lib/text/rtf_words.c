#include "text/rtf_words.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"

/* Sorted. */
static const struct {
    const char *word;
    enum rtf_action action;
    unsigned value;
} words[] = {
    {"aftnsep", RTF_DO_NOTHING, 0},
    {"aftnsepc", RTF_DO_NOTHING, 0},
    {"ansicpg", RTF_DO_CODEPAGE, 0},
    {"bullet", RTF_DO_BULLET, 0x2022},
    {"cell", RTF_DO_CELL, 0},
    {"colortbl", RTF_DO_NOTHING, 0},
    {"column", RTF_DO_PARAGRAPH, 0},
    {"cpg", RTF_DO_FONT_CODEPAGE, 0},
    {"deff", RTF_DO_DEFAULT_FONT, 0},
    {"deleted", RTF_DO_DELETED, 0},
    {"emdash", RTF_DO_CHARACTER, 0x2014},
    {"emspace", RTF_DO_CHARACTER, ' '},
    {"endash", RTF_DO_CHARACTER, 0x2013},
    {"enspace", RTF_DO_CHARACTER, ' '},
    {"f", RTF_DO_FONT, 0},
    {"fcharset", RTF_DO_FONT_CHARSET, 0},
    {"fldinst", RTF_DO_NOTHING, 0},
    {"fonttbl", RTF_DO_FONTS, 0},
    {"footer", RTF_DO_NOTHING, 0},
    {"footerf", RTF_DO_NOTHING, 0},
    {"footerl", RTF_DO_NOTHING, 0},
    {"footerr", RTF_DO_NOTHING, 0},
    {"footnote", RTF_DO_NOTE, 0},
    {"ftnsep", RTF_DO_NOTHING, 0},
    {"ftnsepc", RTF_DO_NOTHING, 0},
    {"header", RTF_DO_NOTHING, 0},
    {"headerf", RTF_DO_NOTHING, 0},
    {"headerl", RTF_DO_NOTHING, 0},
    {"headerr", RTF_DO_NOTHING, 0},
    {"ilvl", RTF_DO_LEVEL, 0},
    {"info", RTF_DO_NOTHING, 0},
    {"intbl", RTF_DO_IN_TABLE, 0},
    {"ldblquote", RTF_DO_CHARACTER, 0x201c},
    {"line", RTF_DO_LINE, 0},
    {"listtext", RTF_DO_MARKER, 0},
    {"lquote", RTF_DO_CHARACTER, 0x2018},
    {"ls", RTF_DO_LIST, 0},
    {"mac", RTF_DO_CODEPAGE, 10000},
    {"nestcell", RTF_DO_PARAGRAPH, 0},
    {"nestrow", RTF_DO_PARAGRAPH, 0},
    {"nonesttables", RTF_DO_NOTHING, 0},
    {"nonshppict", RTF_DO_NOTHING, 0},
    {"objdata", RTF_DO_NOTHING, 0},
    {"outlinelevel", RTF_DO_OUTLINE, 0},
    {"page", RTF_DO_PARAGRAPH, 0},
    {"par", RTF_DO_PARAGRAPH, 0},
    {"pard", RTF_DO_RESET_PARAGRAPH, 0},
    {"pc", RTF_DO_CODEPAGE, 437},
    {"pca", RTF_DO_CODEPAGE, 850},
    {"pict", RTF_DO_NOTHING, 0},
    {"plain", RTF_DO_RESET_CHARACTERS, 0},
    {"pntext", RTF_DO_MARKER, 0},
    {"qmspace", RTF_DO_CHARACTER, ' '},
    {"rdblquote", RTF_DO_CHARACTER, 0x201d},
    {"row", RTF_DO_ROW, 0},
    {"rquote", RTF_DO_CHARACTER, 0x2019},
    {"rxe", RTF_DO_NOTHING, 0},
    {"s", RTF_DO_STYLE, 0},
    {"sect", RTF_DO_PARAGRAPH, 0},
    {"shpinst", RTF_DO_INSIDE, 0},
    {"shprslt", RTF_DO_NOTHING, 0},
    {"shptxt", RTF_DO_SHAPE, 0},
    {"stylesheet", RTF_DO_STYLES, 0},
    {"tab", RTF_DO_CHARACTER, ' '},
    {"tc", RTF_DO_NOTHING, 0},
    {"template", RTF_DO_NOTHING, 0},
    {"txe", RTF_DO_NOTHING, 0},
    {"u", RTF_DO_UNICODE, 0},
    {"uc", RTF_DO_UNICODE_SKIP, 0},
    {"ud", RTF_DO_TEXT, 0},
    {"upr", RTF_DO_INSIDE, 0},
    {"v", RTF_DO_HIDDEN, 0},
    {"xe", RTF_DO_NOTHING, 0},
};

enum rtf_action rtf_action_of(const char *word, unsigned *value)
{
    size_t low = 0, high = ARRAY_SIZE(words);
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(word, words[middle].word);
        if (order == 0) {
            *value = words[middle].value;
            return words[middle].action;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return RTF_DO_IGNORED;
}
