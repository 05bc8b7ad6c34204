#include "formats/json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "formats/json_strings.h"

/* A line grows only as its bytes arrive; this bounds what a file without newlines can take. */
#define LINE_LIMIT ((size_t)1 << 30)

/* Most of what builds JSON has no other error than no memory, which so is nobody's to forget. */
__attribute__((constructor)) static void end_without_memory(void)
{
    json_set_alloc_funcs(xmalloc, free);
}

static json_t *load(const char *p, size_t len, json_error_t *what)
{
    return json_loadb(p, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, what);
}

static json_t *load_fast(const char *p, size_t len)
{
    struct json_strings strings;
    json_error_t ignored;
    json_t *value = NULL;
    json_strings_init(&strings);
    if (json_strings_take(&strings, p, len) &&
        (value = load(strings.text.p, strings.text.len, &ignored)))
        json_strings_give(&strings, value);
    json_strings_release(&strings);
    return value;
}

json_t *json_parse(const char *p, size_t len, struct err *err)
{
    json_error_t what;
    json_t *value = load_fast(p, len);
    if (value || (value = load(p, len, &what)))
        return value;
    if (what.line > 1)
        err_set(err, "line %d, column %d: %s", what.line, what.column, what.text);
    else if (what.column > 0)
        err_set(err, "column %d: %s", what.column, what.text);
    else
        err_set(err, "%s", what.text);
    return NULL;
}

json_t *json_read_file(const char *path, size_t limit, struct err *err)
{
    size_t len;
    char *text = file_read(path, limit, &len, err);
    if (!text)
        return NULL;
    json_t *value = json_parse(text, len, err);
    free(text);
    if (!value)
        err_prefix(err, "%s", path);
    return value;
}

static bool is_blank(const char *p, size_t len)
{
    size_t i = 0;
    while (i < len && (p[i] == ' ' || p[i] == '\t' || p[i] == '\r'))
        i++;
    return i == len;
}

int json_next_line(struct input *in, struct buf *line, json_t **value, struct err *err)
{
    const char *text;
    size_t len;
    *value = NULL;
    do {
        int status = input_line(in, line, LINE_LIMIT, err);
        if (status <= 0)
            return status;
        text = line->p;
        len = line->len;
        if (input_line_number(in) == 1 && len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
            text += 3; /* a byte order mark, as Windows' tools write it */
            len -= 3;
        }
    } while (is_blank(text, len));
    *value = json_parse(text, len, err);
    if (*value)
        return 1;
    return err_prefix(err, "%s:%zu", input_name(in), input_line_number(in));
}

static void add_escaped(struct buf *b, unsigned char c)
{
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    for (size_t i = 0; i + 1 < sizeof letters; i += 2)
        if (letters[i] == (char)c) {
            buf_addch(b, '\\');
            buf_addch(b, letters[i + 1]);
            return;
        }
    buf_addf(b, "\\u%04x", c);
}

void json_add_string(struct buf *b, const char *p, size_t len)
{
    buf_reserve(b, len + 2);
    buf_addch(b, '"');
    size_t from = 0, i = 0; /* p[from .. i) is waiting and needs no change */
    while (i < len) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        utf8proc_int32_t codepoint;
        utf8proc_ssize_t n = c < 0x80 ? 1
                                      : utf8proc_iterate((const utf8proc_uint8_t *)p + i,
                                                         (utf8proc_ssize_t)(len - i), &codepoint);
        if (c >= 0x80 && n > 0) {
            i += (size_t)n;
            continue;
        }
        buf_add(b, p + from, i - from);
        if (c < 0x80)
            add_escaped(b, c);
        else
            buf_addutf8(b, 0xfffd);
        from = ++i;
    }
    buf_add(b, p + from, i - from);
    buf_addch(b, '"');
}

/*
 * A decimal of up to 15 digits survives the way through a double, so 15 digits without trailing
 * zeros are the shortest wherever 15 suffice; below DBL_MIN there are fewer bits, so start at 1.
 */
void json_add_real(struct buf *b, double v)
{
    char digits[40];
    if (!isfinite(v)) {
        buf_addstr(b, "null");
        return;
    }
    int precision = fabs(v) < DBL_MIN ? 1 : 15;
    do
        snprintf(digits, sizeof digits, "%.*g", precision, v);
    while (strtod(digits, NULL) != v && precision++ < 17);
    buf_addstr(b, digits);
    if (!strpbrk(digits, ".e"))
        buf_addstr(b, ".0"); /* reads back as a real */
}

static void add_value(struct buf *b, const json_t *value, bool pretty, int depth);

static void new_line(struct buf *b, int depth)
{
    buf_addch(b, '\n');
    for (int i = 0; i < depth; i++)
        buf_addstr(b, "  ");
}

static void add_array(struct buf *b, const json_t *array, bool pretty, int depth)
{
    size_t n = json_array_size(array);
    buf_addch(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addch(b, ',');
        if (pretty)
            new_line(b, depth + 1);
        add_value(b, json_array_get(array, i), pretty, depth + 1);
    }
    if (pretty && n)
        new_line(b, depth);
    buf_addch(b, ']');
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_object(struct buf *b, json_t *object, bool pretty, int depth)
{
    size_t n = json_object_size(object), i = 0;
    const char **keys = xcalloc(n + 1, sizeof *keys);
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
        keys[i++] = json_object_iter_key(at);
    if (pretty)
        qsort(keys, n, sizeof *keys, compare_keys);
    buf_addch(b, '{');
    for (i = 0; i < n; i++) {
        if (i)
            buf_addch(b, ',');
        if (pretty)
            new_line(b, depth + 1);
        json_add_string(b, keys[i], strlen(keys[i]));
        buf_addstr(b, pretty ? ": " : ":");
        add_value(b, json_object_get(object, keys[i]), pretty, depth + 1);
    }
    if (pretty && n)
        new_line(b, depth);
    buf_addch(b, '}');
    free(keys);
}

static void add_value(struct buf *b, const json_t *value, bool pretty, int depth)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        add_object(b, (json_t *)(uintptr_t)value, pretty, depth); /* iteration takes no const */
        break;
    case JSON_ARRAY:
        add_array(b, value, pretty, depth);
        break;
    case JSON_STRING:
        json_add_string(b, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        buf_addf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        json_add_real(b, json_real_value(value));
        break;
    case JSON_TRUE:
        buf_addstr(b, "true");
        break;
    case JSON_FALSE:
        buf_addstr(b, "false");
        break;
    case JSON_NULL:
        buf_addstr(b, "null");
        break;
    }
}

void json_add(struct buf *b, const json_t *value)
{
    add_value(b, value, false, 0);
}

void json_add_pretty(struct buf *b, const json_t *value)
{
    add_value(b, value, true, 0);
}

void json_add_reals(struct buf *b, const double *v, size_t n)
{
    buf_addch(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addch(b, ',');
        if (v[i] >= 0 && v[i] < 1e15 && v[i] == (double)(uint64_t)v[i])
            buf_addu(b, (uint64_t)v[i]);
        else
            json_add_real(b, v[i]);
    }
    buf_addch(b, ']');
}
