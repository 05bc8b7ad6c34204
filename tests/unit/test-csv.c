/* csv, json_items: records and items out of every odd way to write them. */
#include "tap.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "formats/csv.h"
#include "formats/json_items.h"

/* Records as text, fields between bars; then the error, if there is one. */
static void read_csv(const char *text, size_t len, char separator, struct buf *out)
{
    struct input *in;
    struct csv c;
    struct err err;
    int status;
    buf_clear(out);
    char *exact = xmemdup0(text, len); /* so that a read beyond is seen by ASan */
    if (input_open_memory(&in, "t", exact, len, &err))
        return;
    csv_init(&c, in, separator);
    while ((status = csv_next(&c, &err)) > 0) {
        buf_addf(out, "%zu:", c.line_number);
        for (size_t i = 0; i < c.n; i++) {
            size_t n;
            const char *p = csv_field(&c, i, &n);
            buf_addch(out, '|');
            buf_add(out, p, n);
        }
        buf_addstr(out, "|~");
    }
    if (status < 0)
        buf_addstr(out, err.msg);
    csv_release(&c);
    input_close(in);
    free(exact);
}

static void test_csv(void)
{
    static const struct {
        const char *name, *text, *want;
        char separator;
    } cases[] = {
        {"plain", "a,b\n1,2\n", "1:|a|b|~2:|1|2|~", ','},
        {"no newline at the end", "a,b\n1,2", "1:|a|b|~2:|1|2|~", ','},
        {"CR LF", "a,b\r\n1,2\r\n", "1:|a|b|~2:|1|2|~", ','},
        {"byte order mark", "\xef\xbb\xbf\"a\",b\n1,2", "1:|a|b|~2:|1|2|~", ','},
        {"quoted", "\"a\",\"b\"\n\"1,2\",\"\"\n", "1:|a|b|~2:|1,2||~", ','},
        {"doubled quotes", "\"say \"\"a\"\"\",\"\"\"\"\n", "1:|say \"a\"|\"|~", ','},
        {"a newline in quotes", "\"a\nb\",c\nd,\"e\n\n\"\n", "1:|a\nb|c|~3:|d|e\n\n|~", ','},
        {"CR LF in quotes stays", "\"a\r\nb\",c\r\n", "1:|a\r\nb|c|~", ','},
        {"CR behind a quote", "a,\"b\"\r\n", "1:|a|b|~", ','},
        {"a lone CR in a field stays", "a\rb,c\n", "1:|a\rb|c|~", ','},
        {"a quote inside of a field", "5\" tube,b\n", "1:|5\" tube|b|~", ','},
        {"blanks stay", " a , b \n", "1:| a | b |~", ','},
        {"empty fields", ",,\n", "1:||||~", ','},
        {"an empty field at the end", "a,\n", "1:|a||~", ','},
        {"blank lines", "\n\na\n\r\n\nb\n", "3:|a|~6:|b|~", ','},
        {"nothing", "", "", ','},
        {"only newlines", "\n\r\n\n", "", ','},
        {"tabs", "a\tb,c\n\"1\t2\"\t3\n", "1:|a|b,c|~2:|1\t2|3|~", '\t'},
        {"semicolons", "a;b\n1,5;2\n", "1:|a|b|~2:|1,5|2|~", ','},
        {"semicolons in quotes", "\"a;b\"\n1;2\n", "1:|a;b|~2:|1;2|~", ','},
        {"a comma in quotes before semicolons", "\"a,b\";c\n1;2\n", "1:|a,b|c|~2:|1|2|~", ','},
        {"no semicolons in TSV", "a;b\n", "1:|a;b|~", '\t'},
        {"too few", "a,b\n1\n", "1:|a|b|~t:2: 1 fields, but 2 in the first line", ','},
        {"too many", "a,b\n\n1,2,3\n", "1:|a|b|~t:3: 3 fields, but 2 in the first line", ','},
        {"text behind a quote", "a,\"b\" c\n",
         "t:1: field 2 goes on behind its closing quote; a quote in a quoted field is written "
         "twice",
         ','},
        {"no closing quote", "x,y\na,\"b\nc\n",
         "1:|x|y|~t:2: a quote begins in field 2 and does not end", ','},
        {"a quote at the very end", "a,\"", "t:1: a quote begins in field 2 and does not end", ','},
        {"a quote alone", "\"", "t:1: a quote begins in field 1 and does not end", ','},
    };
    struct buf got = BUF_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        read_csv(cases[i].text, strlen(cases[i].text), cases[i].separator, &got);
        tap_is_str(cases[i].name, got.p, cases[i].want);
    }
    read_csv("a\0b,c\n", 6, ',', &got);
    tap_ok(got.len == 10 && !memcmp(got.p, "1:|a\0b|c|~", 10), "a NUL in a field");
    buf_release(&got);
}

static void read_items(const char *text, struct buf *out)
{
    struct input *in;
    struct json_items j;
    struct err err;
    struct buf item = BUF_INIT;
    size_t line;
    int status;
    char *exact = xmemdup0(text, strlen(text));
    buf_clear(out);
    if (input_open_memory(&in, "t", exact, strlen(text), &err))
        return;
    json_items_init(&j, in);
    while ((status = json_items_next(&j, &item, &line, &err)) > 0)
        buf_addf(out, "%zu:%s~", line, item.p);
    if (status < 0)
        buf_addstr(out, err.msg);
    json_items_release(&j);
    input_close(in);
    buf_release(&item);
    free(exact);
}

static void test_items(void)
{
    static const char *const cases[][3] = {
        {"empty", "[]", ""},
        {"empty with blanks", " \n[ \n ]\n\n", ""},
        {"some", "[1, \"a\",{}]", "1:1~1:\"a\"~1:{}~"},
        {"over lines", "[\n  {\"a\": [1,\n 2]},\n  {\"b\": \"],}\"}\n]\n",
         "2:{\"a\": [1,  2]}~4:{\"b\": \"],}\"}~"},
        {"escapes", "[\"\\\"],\", \"\\\\\", 2]", "1:\"\\\"],\"~1:\"\\\\\"~1:2~"},
        {"byte order mark", "\xef\xbb\xbf[1]", "1:1~"},
        {"nested", "[[[1],[2]],[]]", "1:[[1],[2]]~1:[]~"},
        {"what isn't JSON is left to others", "[tru e, {]}]", "1:tru e~1:{]}~"},
        {"cut off in an item", "[{\"a\":1",
         "t:1: cut off: the array that begins the file has no end"},
        {"cut off behind an item", "[1\n",
         "t:1: cut off: the array that begins the file has no end"},
        {"cut off behind a comma", "[1,\n",
         "1:1~t:1: cut off: the array that begins the file has no end"},
        {"cut off at once", "[", "t:1: cut off: the array that begins the file has no end"},
        {"two commas", "[1,,2]", "1:1~t:1: nothing between two items of the array"},
        {"a comma at the end", "[1,\n]", "1:1~t:2: nothing between two items of the array"},
        {"a comma first", "[,1]", "t:1: nothing between two items of the array"},
        {"more behind it", "[1]\n{}", "1:1~t:2: something stands behind the end of the array"},
    };
    struct buf got = BUF_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        read_items(cases[i][1], &got);
        tap_is_str(cases[i][0], got.p, cases[i][2]);
    }
    buf_release(&got);
}

int main(void)
{
    test_csv();
    test_items();
    return tap_done();
}
