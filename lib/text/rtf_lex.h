/*
 * rtf_lex: an RTF file (version 1.9.1 of Microsoft's specification) as groups, control words and
 * bytes of text.
 */
#ifndef TEXT_RTF_LEX_H
#define TEXT_RTF_LEX_H

#include <stdbool.h>
#include <stddef.h>

enum rtf_kind {
    RTF_END,
    RTF_OPEN,   /* { */
    RTF_CLOSE,  /* } */
    RTF_WORD,   /* \name or \name-12: word, value */
    RTF_SYMBOL, /* \~ and the like: word[0] */
    RTF_BYTE,   /* of text, also by \'e9: value */
};

struct rtf_token {
    enum rtf_kind kind;
    char word[32]; /* "" for one that is longer, which is none that means anything */
    bool has_value;
    int value;
};

struct rtf_lex {
    const char *p, *end;
};

void rtf_lex_init(struct rtf_lex *lex, const char *p, size_t len);
/* The next one. What \bin announces is passed over with it. */
void rtf_lex_next(struct rtf_lex *lex, struct rtf_token *t);

#endif
