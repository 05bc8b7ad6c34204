/*
 * Messages and mailboxes. The first byte says which; or that it is a field's value, whose decoding
 * must stay one line of UTF-8.
 */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "check_text.h"
#include "text/mail.h"
#include "text/mime.h"
#include "text/mime_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_file(void *arg, const char *name, const char *p, size_t len, struct err *err)
{
    (void)arg, (void)p, (void)len, (void)err;
    if (!*name || strpbrk(name, "/\\\n") || !utf8_is_valid(name, strlen(name)))
        abort();
    return 0;
}

static void on_passed_over(void *arg, const char *type)
{
    (void)arg;
    if (!*type)
        abort();
}

static void read_message(const char *p, size_t len)
{
    const struct mail_sink sink = {on_file, on_passed_over, NULL};
    struct prose_text t;
    struct encoding how;
    struct err err = {.msg = ""};
    prose_text_init(&t);
    if (extract_mail(&t, p, len, NULL, &how, &sink, &err)) {
        if (!*err.msg || t.text.len)
            abort();
    } else {
        check_text(&t);
    }
    prose_text_release(&t);
}

static void read_box(const char *p, size_t len)
{
    struct buf message = BUF_INIT;
    size_t at = 0, before = 0;
    while (mbox_next(p, len, &at, &message)) {
        if (at <= before || message.len > at - before)
            abort();
        before = at;
        read_message(message.p, message.len);
    }
    buf_release(&message);
}

static void read_value(const char *p, size_t len)
{
    struct buf out = BUF_INIT;
    char *value = xmemdup0(p, len);
    mime_words_decode(&out, value, strlen(value));
    if (!utf8_is_valid(out.p, out.len) || strchr(out.p, '\n'))
        abort();
    mime_parameter(&out, value, "name");
    if (!utf8_is_valid(out.p, out.len) || strchr(out.p, '\n'))
        abort();
    buf_clear(&out);
    encoding_decode(&out, p, len, NULL, NULL, NULL);
    encoding_unix_lines(&out);
    mime_unfold(&out, len & 1);
    if (!utf8_is_valid(out.p, out.len))
        abort();
    free(value);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data + 1;
    if (!size)
        return 0;
    if (data[0] == 'b')
        read_box(p, size - 1);
    else if (data[0] == 'v')
        read_value(p, size - 1);
    else
        read_message(p, size - 1);
    return 0;
}
