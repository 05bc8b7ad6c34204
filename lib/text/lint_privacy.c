#include "text/lint_privacy.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static size_t digits_of(const char *p, size_t len, char *out, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        if (isdigit((unsigned char)p[i])) {
            if (n < most)
                out[n] = p[i];
            n++;
        }
    return n;
}

/* ---- numbers ---- */

static bool luhn(const char *digits, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned)(digits[n - 1 - i] - '0');
        if (i & 1)
            d = d > 4 ? 2 * d - 9 : 2 * d;
        sum += d;
    }
    return sum % 10 == 0;
}

bool is_card_number(const char *p, size_t len)
{
    static const struct {
        unsigned first, last; /* of the first four digits */
        size_t shortest, longest;
    } issuers[] = {
        {4000, 4999, 13, 19}, {5100, 5599, 16, 16}, {2221, 2720, 16, 16}, {3400, 3499, 15, 15},
        {3700, 3799, 15, 15}, {6011, 6011, 16, 19}, {6440, 6599, 16, 19}, {3528, 3589, 16, 19},
        {3000, 3059, 14, 19}, {3600, 3699, 14, 19}, {3800, 3999, 14, 19}, {6200, 6299, 16, 19},
        {5000, 5099, 12, 19}, {5600, 5899, 12, 19}, {6300, 6399, 12, 19}, {6700, 6799, 12, 19}};
    char digits[19];
    size_t n = digits_of(p, len, digits, sizeof digits);
    if (n < 12 || n > sizeof digits || !luhn(digits, n))
        return false;
    unsigned prefix = 0;
    for (size_t i = 0; i < 4; i++)
        prefix = prefix * 10 + (unsigned)(digits[i] - '0');
    for (size_t i = 0; i < ARRAY_SIZE(issuers); i++)
        if (prefix >= issuers[i].first && prefix <= issuers[i].last && n >= issuers[i].shortest &&
            n <= issuers[i].longest)
            return true;
    return false;
}

/* The number modulo 97, its first four characters behind the others, letters as 10 to 35. */
bool is_iban(const char *p, size_t len)
{
    char s[34];
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        if (isalnum((unsigned char)p[i])) {
            if (n == sizeof s)
                return false;
            s[n++] = p[i];
        }
    if (n < 15 || !isupper((unsigned char)s[0]) || !isupper((unsigned char)s[1]) ||
        !isdigit((unsigned char)s[2]) || !isdigit((unsigned char)s[3]))
        return false;
    unsigned remainder = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[(i + 4) % n];
        if (islower(c))
            return false;
        remainder =
            isdigit(c) ? (remainder * 10 + c - '0') % 97 : (remainder * 100 + c - 'A' + 10) % 97;
    }
    return remainder == 1;
}

static bool is_repeated(const char *digits, size_t n)
{
    size_t i = 1;
    while (i < n && digits[i] == digits[0])
        i++;
    return i == n;
}

static bool accept_card(const char *p, size_t len)
{
    char digits[19];
    size_t n = digits_of(p, len, digits, sizeof digits);
    return is_card_number(p, len) && !is_repeated(digits, n);
}

static bool accept_phone(const char *p, size_t len)
{
    char digits[16];
    size_t n = digits_of(p, len, digits, sizeof digits);
    if (len == 11 && n == 9 && p[3] == '-' && p[6] == '-')
        return false; /* a social security number's groups */
    return n >= 8 && n <= 15 && !is_repeated(digits + 1, n - 1) && !accept_card(p, len);
}

/* A public address; four small numbers are more likely a version. */
static bool accept_ip(const char *p, size_t len)
{
    unsigned part[4] = {0}, n = 0;
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '.')
            n++;
        else
            part[n] = part[n] * 10 + (unsigned)(p[i] - '0');
        if (n > 3 || part[n] > 255)
            return false;
    }
    bool local = part[0] == 0 || part[0] == 10 || part[0] == 127 || part[0] >= 224 ||
                 (part[0] == 192 && part[1] == 168) || (part[0] == 172 && part[1] / 16 == 1) ||
                 (part[0] == 169 && part[1] == 254);
    return !local && (part[0] >= 20 || part[1] >= 20 || part[2] >= 20 || part[3] >= 20);
}

/* ---- words ---- */

static bool begins(const char *p, size_t len, const char *with)
{
    size_t n = strlen(with);
    return len >= n && !strncasecmp(p, with, n);
}

static bool accept_mail(const char *p, size_t len)
{
    static const char *const machines[] = {"noreply@", "no-reply@", "git@", "donotreply@"};
    for (size_t i = 0; i < ARRAY_SIZE(machines); i++)
        if (begins(p, len, machines[i]))
            return false;
    return true;
}

/* Letters and digits, not mostly one character: neither a word nor "xxxxxxxx". */
static bool looks_random(const char *p, size_t len)
{
    unsigned counts[256] = {0}, letters = 0, digits = 0, most = 0, distinct = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        distinct += !counts[c];
        if (++counts[c] > most)
            most = counts[c];
        letters += isalpha(c) != 0;
        digits += isdigit(c) != 0;
    }
    return letters && digits && most * 3 < len * 2 && distinct >= 6;
}

/* The value of "password = value": what stands behind the last of = : and blanks, without quotes.
 */
static bool accept_assignment(const char *p, size_t len)
{
    static const char *const placeholders[] = {"example",     "your", "xxx",     "changeme",
                                               "placeholder", "<",    "${",      "{{",
                                               "env",         "os.",  "process."};
    size_t from = len;
    while (from && !strchr("=: \"'`", p[from - 1]))
        from--;
    for (size_t i = 0; i < ARRAY_SIZE(placeholders); i++)
        if (begins(p + from, len - from, placeholders[i]))
            return false;
    return looks_random(p + from, len - from);
}

static bool accept_token(const char *p, size_t len)
{
    return looks_random(p, len);
}

static bool accept_all(const char *p, size_t len)
{
    (void)p;
    return len > 0;
}

/* ---- the patterns ---- */

/*
 * A text without the byte `needs`, or with fewer digits than `digits`, is not searched. Patterns
 * are bounded, so none takes more than a fixed time at a place.
 */
static const struct {
    enum lint_kind kind;
    const char *what;
    const char *pattern;
    bool (*accept)(const char *p, size_t len);
    char needs;
    unsigned digits;
    bool shown; /* as it is */
} patterns[] = {
    {LINT_PERSONAL, "e-mail address",
     "(?<![A-Za-z0-9._%+-])[A-Za-z0-9_][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\\.){1,6}"
     "[A-Za-z]{2,24}(?![A-Za-z0-9-])",
     accept_mail, '@', 0, false},
    {LINT_PERSONAL, "card number",
     "(?<![0-9A-Za-z.,+-])[2-6][0-9]{3}(?:[ -]?[0-9]){8,15}(?![0-9A-Za-z])", accept_card, 0, 12,
     false},
    {LINT_PERSONAL, "bank account (IBAN)",
     "(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?"
     "(?![0-9A-Za-z])",
     is_iban, 0, 8, false},
    {LINT_PERSONAL, "telephone number",
     "(?<![0-9A-Za-z.,/+=_#-])(?<![0-9] )(?:(?:\\+|00)[1-9][0-9]{0,2}(?:[ ./()-]{0,3}[0-9]){6,13}"
     "|\\(0[0-9]{1,5}\\)[ -]?[0-9]{3,5}(?:[ -]?[0-9]){2,8}"
     "|0[1-9][0-9]{1,4}[ /-]{1,3}[0-9]{2,5}(?:[ -]?[0-9]){3,8}"
     "|(?:1[ -])?\\(?[2-9][0-9]{2}\\)?[ .-][2-9][0-9]{2}[ .-][0-9]{4})(?![0-9A-Za-z])",
     accept_phone, 0, 8, false},
    {LINT_PERSONAL, "US social security number",
     "(?<![0-9A-Za-z-])(?!000|666|9[0-9]{2})[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![0-9A-Za-z-]"
     ")",
     accept_all, '-', 9, false},
    {LINT_PERSONAL, "IP address",
     "(?<![0-9A-Za-z.-])[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(?![0-9A-Za-z.-])",
     accept_ip, '.', 4, false},
    {LINT_SECRET, "private key", "-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY(?: BLOCK)?-----",
     accept_all, '-', 0, true},
    {LINT_SECRET, "access token",
     "(?<![A-Za-z0-9_-])(?:(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"
     "|gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{60,255}|glpat-[A-Za-z0-9_-]{20,64}"
     "|xox[abeprs]-[A-Za-z0-9-]{10,200}|AIza[A-Za-z0-9_-]{35}"
     "|(?:sk|rk|pk)_live_[A-Za-z0-9]{16,99}"
     "|sk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{20,200}|hf_[A-Za-z0-9]{30,40}"
     "|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,250}|dop_v1_[a-f0-9]{64}"
     "|SG\\.[A-Za-z0-9_-]{16,32}\\.[A-Za-z0-9_-]{32,64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"
     "|eyJ[A-Za-z0-9_-]{10,2000}\\.eyJ[A-Za-z0-9_-]{10,4000}\\.[A-Za-z0-9_-]{10,1000}"
     "|[0-9]{8,10}:AA[A-Za-z0-9_-]{33})(?![A-Za-z0-9])",
     accept_token, 0, 0, false},
    {LINT_SECRET, "password in an address",
     "(?<![A-Za-z])[a-z][a-z0-9+]{1,15}://[^\\s:/@\"'<>]{1,64}:[^\\s:/"
     "@\"'<>$%{]{3,64}@[A-Za-z0-9.-]{2,255}",
     accept_all, '@', 0, false},
    {LINT_SECRET, "key or password",
     "(?i)(?<![a-z])(?:password|passwd|passphrase|pwd|secret|api[_-]?key|access[_-]?key|auth[_-]?"
     "token|"
     "access[_-]?token|client[_-]?secret|account[_-]?key|secret[_-]?key)[\"'`]?[ "
     "]{0,3}(?:=>|:=|[:=])[ ]{0,3}"
     "[\"'`]?[A-Za-z0-9+/_.~!@#$%^&*-]{8,200}=?=?",
     accept_assignment, 0, 0, false},
    {LINT_MARKERS, "marker of a chat template",
     "<\\|(?:im_start|im_end|im_sep|endoftext|eot_id|eom_id|start_header_id|end_header_id|"
     "begin_of_text|end_of_text|system|user|assistant|end|return|start|channel|message|python_tag|"
     "startoftext)\\|>|<(?:start|end)_of_turn>|\\[/?INST\\]|<</?SYS>>|\\[/"
     "?(?:AVAILABLE_TOOLS|TOOL_RESULTS)\\]"
     "|</s>(?=\\s*\\z)|<\xef\xbd\x9c(?:User|Assistant|begin\xe2\x96\x81of\xe2\x96\x81sentence|"
     "end\xe2\x96\x81of\xe2\x96\x81sentence)\xef\xbd\x9c>",
     accept_all, 0, 0, true},
};

struct lint_privacy {
    struct regex *patterns[ARRAY_SIZE(patterns)];
};

int lint_privacy_new(struct lint_privacy **out, struct err *err)
{
    struct lint_privacy *p = xcalloc(1, sizeof *p);
    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
        p->patterns[i] = regex_new(patterns[i].pattern, strlen(patterns[i].pattern), err);
        if (!p->patterns[i]) {
            lint_privacy_free(p);
            return -1;
        }
    }
    *out = p;
    return 0;
}

void lint_privacy_free(struct lint_privacy *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
        regex_free(p->patterns[i]);
    free(p);
}

/* Enough to find it again, too little to use it. */
static void mask(struct buf *out, enum lint_kind kind, const char *p, size_t len)
{
    size_t head = len >= 12 ? 3 : 1, tail = kind == LINT_SECRET ? 0 : head;
    buf_add(out, p, head < len ? head : len);
    buf_addstr(out, "...");
    if (len > head + tail)
        buf_add(out, p + len - tail, tail);
}

static void search(const struct lint_privacy *privacy, size_t i, struct regex_scratch *scratch,
                   struct lint_findings *f, const char *where, const char *p, size_t len)
{
    struct regex_cursor c;
    size_t start, end, n = 0;
    struct err ignored; /* a text that takes too much to search is passed over */
    struct buf first = BUF_INIT;
    regex_start(&c, p, len);
    while (regex_next(privacy->patterns[i], scratch, &c, &start, &end, &ignored) > 0) {
        if (!patterns[i].accept(p + start, end - start) || n++)
            continue;
        if (patterns[i].shown)
            buf_add(&first, p + start, end - start);
        else
            mask(&first, patterns[i].kind, p + start, end - start);
    }
    if (n == 1)
        lint_found(f, patterns[i].kind, where, "%s \"%s\"", patterns[i].what, first.p);
    else if (n)
        lint_found(f, patterns[i].kind, where, "%s \"%s\" and %zu more", patterns[i].what, first.p,
                   n - 1);
    buf_release(&first);
}

void lint_private(const struct lint_privacy *privacy, struct regex_scratch *scratch,
                  struct lint_findings *f, const char *where, const char *p, size_t len)
{
    size_t digits = 0;
    for (size_t i = 0; i < len; i++)
        digits += (unsigned char)(p[i] - '0') < 10;
    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
        if (digits >= patterns[i].digits &&
            (!patterns[i].needs || memchr(p, patterns[i].needs, len)))
            search(privacy, i, scratch, f, where, p, len);
}
