#include "text/rtf_lex.h"

#include <string.h>

enum { MAX_VALUE = 100000000 };

void rtf_lex_init(struct rtf_lex *lex, const char *p, size_t len)
{
    *lex = (struct rtf_lex){p, p + len};
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void read_value(struct rtf_lex *lex, struct rtf_token *t)
{
    const char *p = lex->p;
    bool minus = p < lex->end && *p == '-';
    p += minus;
    if (p == lex->end || *p < '0' || *p > '9')
        return;
    for (t->has_value = true; p < lex->end && *p >= '0' && *p <= '9'; p++)
        if (t->value < MAX_VALUE)
            t->value = t->value * 10 + *p - '0';
    if (minus)
        t->value = -t->value;
    lex->p = p;
}

static void read_word(struct rtf_lex *lex, struct rtf_token *t)
{
    const char *start = lex->p;
    t->kind = RTF_WORD;
    while (lex->p < lex->end && is_letter(*lex->p))
        lex->p++;
    size_t n = (size_t)(lex->p - start);
    if (n < sizeof t->word)
        memcpy(t->word, start, n);
    else
        n = 0;
    t->word[n] = 0;
    read_value(lex, t);
    if (lex->p < lex->end && *lex->p == ' ')
        lex->p++;
    if (!strcmp(t->word, "bin") && t->value > 0) {
        size_t left = (size_t)(lex->end - lex->p);
        lex->p += (size_t)t->value < left ? (size_t)t->value : left;
    }
}

/* Behind a backslash. */
static void read_control(struct rtf_lex *lex, struct rtf_token *t)
{
    if (is_letter(*lex->p)) {
        read_word(lex, t);
        return;
    }
    char c = *lex->p++;
    if (c == '\'' && lex->end - lex->p >= 2 && hex_digit(lex->p[0]) >= 0 &&
        hex_digit(lex->p[1]) >= 0) {
        t->kind = RTF_BYTE;
        t->value = hex_digit(lex->p[0]) * 16 + hex_digit(lex->p[1]);
        lex->p += 2;
    } else if (c == '\\' || c == '{' || c == '}') {
        t->kind = RTF_BYTE;
        t->value = c;
    } else if (c == '\n' || c == '\r') {
        t->kind = RTF_WORD;
        memcpy(t->word, "par", 4);
    } else {
        t->kind = RTF_SYMBOL;
        t->word[0] = c;
        t->word[1] = 0;
    }
}

void rtf_lex_next(struct rtf_lex *lex, struct rtf_token *t)
{
    t->kind = RTF_END;
    t->word[0] = 0;
    t->has_value = false;
    t->value = 0;
    while (lex->p < lex->end && (*lex->p == '\n' || *lex->p == '\r' || !*lex->p))
        lex->p++;
    if (lex->p == lex->end)
        return;
    char c = *lex->p++;
    if (c == '{') {
        t->kind = RTF_OPEN;
    } else if (c == '}') {
        t->kind = RTF_CLOSE;
    } else if (c != '\\') {
        t->kind = RTF_BYTE;
        t->value = (unsigned char)c;
    } else if (lex->p < lex->end) {
        read_control(lex, t);
    }
}
