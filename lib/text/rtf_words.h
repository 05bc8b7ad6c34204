/*
 * rtf_words: the control words of RTF that matter to its text.
 */
#ifndef TEXT_RTF_WORDS_H
#define TEXT_RTF_WORDS_H

enum rtf_action {
    RTF_DO_IGNORED, /* what \* doesn't make a group of nothing */
    RTF_DO_NOTHING, /* the group has no text */
    RTF_DO_INSIDE,  /* nor has this one, but a group in it may */
    RTF_DO_TEXT,    /* this is that group */
    RTF_DO_FONTS,
    RTF_DO_STYLES,
    RTF_DO_NOTE,
    RTF_DO_SHAPE,
    RTF_DO_MARKER,
    RTF_DO_CHARACTER,
    RTF_DO_PARAGRAPH,
    RTF_DO_LINE,
    RTF_DO_CELL,
    RTF_DO_ROW,
    RTF_DO_RESET_PARAGRAPH,
    RTF_DO_RESET_CHARACTERS,
    RTF_DO_CODEPAGE,
    RTF_DO_DEFAULT_FONT,
    RTF_DO_FONT,
    RTF_DO_FONT_CHARSET,
    RTF_DO_FONT_CODEPAGE,
    RTF_DO_STYLE,
    RTF_DO_OUTLINE,
    RTF_DO_IN_TABLE,
    RTF_DO_LIST,
    RTF_DO_LEVEL,
    RTF_DO_HIDDEN,
    RTF_DO_DELETED,
    RTF_DO_UNICODE,
    RTF_DO_UNICODE_SKIP,
    RTF_DO_BULLET,
};

/* What to do with a control word; *value is set where the word itself has one: a character, a code
 * page. */
enum rtf_action rtf_action_of(const char *word, unsigned *value);

#endif
