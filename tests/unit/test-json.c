/* json: values in and out, the same text for the same value, errors with their place. */
#include "tap.h"

#include <float.h>

#include "base/mem.h"
#include "base/rng.h"
#include "formats/json.h"

static void round_trip(const char *text, const char *want)
{
    struct err err = {.msg = ""};
    struct buf b = BUF_INIT;
    json_t *value = json_parse(text, strlen(text), &err);
    if (value)
        json_add(&b, value);
    tap_is_str(text, value ? b.p : err.msg, want);
    json_decref(value);
    buf_release(&b);
}

static void test_compact(void)
{
    round_trip("null", "null");
    round_trip(" [1, -2, 3.0, true, false, null, \"x\"] ", "[1,-2,3.0,true,false,null,\"x\"]");
    round_trip("{\"b\": 1, \"a\": {}, \"c\": []}", "{\"b\":1,\"a\":{},\"c\":[]}");
    round_trip("\"\\u00e9\\u20ac\\ud83d\\ude00/\\/\"", "\"é€😀//\"");
    round_trip("\"\\u0000\\u0001\\n\\t\\\"\\\\\\u007f\"", "\"\\u0000\\u0001\\n\\t\\\"\\\\\x7f\"");
    round_trip("9223372036854775807", "9223372036854775807");
}

static void test_refusals(void)
{
    static const char *const bad[] = {
        "",
        "{",
        "{\"a\":1,\"a\":2}",
        "1 2",
        "\"\xff\"",
        "nul",
        "[1,]",
        "\"\\ud800\"",
        "1e999",
        "\"a\nb\"",
        "99999999999999999999",
        "{\"a\\u0000\":1}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct err err = {.msg = ""};
        json_t *value = json_parse(bad[i], strlen(bad[i]), &err);
        tap_ok(!value && *err.msg && !strchr(err.msg, '\n'), "refused: case %zu (%s)", i, err.msg);
        json_decref(value);
    }
    struct buf deep = BUF_INIT;
    for (int i = 0; i < 100000; i++)
        buf_addch(&deep, '[');
    struct err err = {.msg = ""};
    tap_ok(!json_parse(deep.p, deep.len, &err), "refused: 100,000 levels");
    buf_release(&deep);
}

static void is_real(double v, const char *want)
{
    struct buf b = BUF_INIT;
    json_add_real(&b, v);
    tap_is_str("real", b.p, want);
    buf_release(&b);
}

static void test_reals(void)
{
    is_real(0.1, "0.1");
    is_real(1, "1.0");
    is_real(-0.0, "-0.0");
    is_real(1e22, "1e+22");
    is_real(1.0 / 3, "0.3333333333333333");
    is_real(0.1 + 0.2, "0.30000000000000004");
    is_real(5e-324, "5e-324");
    is_real(DBL_MAX, "1.7976931348623157e+308");
    is_real((double)0.1f, "0.10000000149011612");
    is_real((double)NAN, "null");
    is_real((double)INFINITY, "null");
    size_t wrong = 0;
    struct buf b = BUF_INIT;
    struct rng rng;
    rng_init(&rng, 1, 1);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = (uint64_t)rng_u32(&rng) << 32 | rng_u32(&rng);
        double v;
        memcpy(&v, &bits, sizeof v);
        buf_clear(&b);
        json_add_real(&b, v);
        wrong += isfinite(v) ? strtod(b.p, NULL) != v : strcmp(b.p, "null") != 0;
    }
    tap_is_u64("real: 20,000 bit patterns read back the same", wrong, 0);
    buf_release(&b);
}

static void test_strings(void)
{
    struct buf b = BUF_INIT;
    json_add_string(&b,
                    "a\xff\xc3z\xe2\x82"
                    "\xed\xa0\x80\0",
                    10);
    tap_is_str("string: what is no UTF-8 becomes U+FFFD", b.p,
               "\"a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef"
               "\xbf\xbd\\u0000\"");
    buf_release(&b);
}

static void test_pretty(void)
{
    struct err err = {.msg = ""};
    struct buf b = BUF_INIT;
    static const char text[] = "{\"b\":[1,2.5],\"a\":{},\"c\":{\"y\":[],\"x\":null}}";
    json_t *value = json_parse(text, strlen(text), &err);
    json_add_pretty(&b, value);
    tap_is_str("pretty: sorted, as Python's indent=2", b.p,
               "{\n  \"a\": {},\n  \"b\": [\n    1,\n    2.5\n  ],\n  \"c\": {\n    \"x\": null,\n "
               "   \"y\": []\n  }\n}");
    json_decref(value);
    buf_release(&b);
}

/* What Jansson alone makes of it. */
static json_t *plain_parse(const char *p, size_t len)
{
    json_error_t ignored;
    return json_loadb(p, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &ignored);
}

static void add_random_string(struct buf *b, struct rng *r)
{
    static const char *const parts[] = {"word ", "\\n",     "\\\\",           "\\\"",
                                        "\\/",   "\\u00e9", "\\ud83d\\ude00", "\xc3\xa9",
                                        "\\t",   "\\u0041", "\xe2\x82\xac"};
    static const char *const rare[] = {"\\u0000", "\\ud800",      "\\x",  "\n",
                                       "\xff",    "\xed\xa0\x80", "\\u12"};
    buf_addch(b, '"');
    for (uint64_t n = rng_below(r, 40); n; n--)
        buf_addstr(b, rng_below(r, 300) ? parts[rng_below(r, ARRAY_SIZE(parts))]
                                        : rare[rng_below(r, ARRAY_SIZE(rare))]);
    buf_addch(b, '"');
}

static void add_random_value(struct buf *b, struct rng *r, unsigned depth)
{
    uint64_t kind = rng_below(r, depth < 3 ? 5 : 3), n = rng_below(r, 4);
    if (kind == 0) {
        buf_addstr(b, " 12");
    } else if (kind < 3) {
        add_random_string(b, r);
    } else {
        buf_addch(b, kind == 3 ? '[' : '{');
        for (uint64_t i = 0; i < n; i++) {
            buf_addstr(b, i ? ", " : " ");
            if (kind == 4) {
                add_random_string(b, r);
                buf_addstr(b, rng_below(r, 2) ? ":" : " \n: ");
            }
            add_random_value(b, r, depth + 1);
        }
        buf_addch(b, kind == 3 ? ']' : '}');
    }
}

/* Long strings go around Jansson, but to nobody's notice. */
static void test_long_strings(void)
{
    struct rng r;
    struct buf b = BUF_INIT;
    size_t differ = 0, good = 0;
    rng_init(&r, 2, 0);
    for (int i = 0; i < 5000; i++) {
        struct err err = {.msg = ""};
        buf_clear(&b);
        add_random_value(&b, &r, 0);
        for (uint64_t n = rng_below(&r, 2); n && b.len; n--)
            b.p[rng_below(&r, b.len)] = "\"\\:,u0{ "[rng_below(&r, 8)];
        json_t *got = json_parse(b.p, b.len, &err), *want = plain_parse(b.p, b.len);
        differ += !got != !want || (want && !json_equal(got, want)) || (!got && !*err.msg);
        good += want != NULL;
        json_decref(got);
        json_decref(want);
    }
    tap_ok(!differ, "long strings: %zu values of 5000 differ from Jansson's", differ);
    tap_ok(good > 1000 && good < 4500, "long strings: %zu are valid", good);
    buf_release(&b);
}

static void test_long_string_cases(void)
{
#define FORTY "0123456789012345678901234567890123456789"
    struct err err = {.msg = ""};
    static const char mark[] = "[\"\\u00001\",\"" FORTY FORTY "\",\"\\u0000" FORTY FORTY "\"]";
    json_t *value = json_parse(mark, sizeof mark - 1, &err);
    tap_ok(json_string_length(json_array_get(value, 0)) == 2 &&
               json_string_length(json_array_get(value, 1)) == 80 &&
               json_string_length(json_array_get(value, 2)) == 81,
           "long strings: U+0000 at the front of others is text");
    json_decref(value);
    static const char twice[] = "{\"" FORTY FORTY "\":1,\"" FORTY FORTY "\":\"" FORTY FORTY "\"}";
    tap_ok(!json_parse(twice, sizeof twice - 1, &err), "long strings: keys stay, %s", err.msg);
}

static void test_lines(void)
{
    struct err err = {.msg = ""};
    struct input *in;
    struct buf line = BUF_INIT;
    json_t *value;
    static const char text[] = "\xef\xbb\xbf{\"a\":1}\r\n\n \t\n[2]\n{\"a\":}\n";
    input_open_memory(&in, "x.jsonl", text, sizeof text - 1, &err);
    tap_ok(json_next_line(in, &line, &value, &err) == 1 && json_is_object(value),
           "lines: behind a byte order mark");
    json_decref(value);
    tap_ok(json_next_line(in, &line, &value, &err) == 1 && json_is_array(value),
           "lines: blank ones are passed over");
    json_decref(value);
    tap_ok(json_next_line(in, &line, &value, &err) == -1 && !value, "lines: a bad one fails");
    tap_ok(!strncmp(err.msg, "x.jsonl:5: column 6: ", 21), "lines: with its place: %s", err.msg);
    input_close(in);
    input_open_memory(&in, "x.jsonl", "1\n\n", 3, &err);
    tap_ok(json_next_line(in, &line, &value, &err) == 1, "lines: a value");
    json_decref(value);
    tap_ok(json_next_line(in, &line, &value, &err) == 0 && !value, "lines: the end");
    input_close(in);
    buf_release(&line);
}

int main(void)
{
    test_compact();
    test_refusals();
    test_reals();
    test_strings();
    test_pretty();
    test_long_strings();
    test_long_string_cases();
    test_lines();
    return tap_done();
}
