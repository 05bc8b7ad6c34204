#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

enum { STEP_LIMIT = 100000, DEPTH_LIMIT = 1000 };

int pattern_matches(const char *pattern, const char *text, bool *matches, struct err *err)
{
    int code;
    PCRE2_SIZE at;
    PCRE2_UCHAR why[120];
    *matches = false;
    pcre2_code *re = pcre2_compile(
        (PCRE2_SPTR)pattern, strlen(pattern),
        PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!re) {
        pcre2_get_error_message(code, why, sizeof why);
        return err_set(err, "regular expression \"%.200s\": %s at byte %zu", pattern,
                       (const char *)why, (size_t)at);
    }
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(limits, STEP_LIMIT);
    pcre2_set_depth_limit(limits, DEPTH_LIMIT);
    code = data && limits ? pcre2_match(re, (PCRE2_SPTR)text, strlen(text), 0, 0, data, limits)
                          : PCRE2_ERROR_NOMEMORY;
    pcre2_match_context_free(limits);
    pcre2_match_data_free(data);
    pcre2_code_free(re);
    *matches = code >= 0;
    if (code >= 0 || code == PCRE2_ERROR_NOMATCH)
        return 0;
    pcre2_get_error_message(code, why, sizeof why);
    return err_set(err, "regular expression \"%.200s\": %s", pattern, (const char *)why);
}
