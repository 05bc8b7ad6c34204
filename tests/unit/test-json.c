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
    test_lines();
    return tap_done();
}
