#include "text/harvest_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/mail.h"

struct attachment {
    char *name;
    struct buf bytes;
};

/* What came with a message. Its text is written first, and nothing of a damaged one. */
struct attachments {
    struct harvest *c;
    struct attachment *items;
    size_t n, cap;
};

static int keep_file(void *arg, const char *name, const char *p, size_t len, struct err *err)
{
    struct attachments *a = arg;
    (void)err;
    ARRAY_GROW(a->items, a->n, a->cap);
    struct attachment *item = &a->items[a->n++];
    *item = (struct attachment){xstrdup(name), BUF_INIT};
    buf_add(&item->bytes, p, len);
    return 0;
}

static void count_part(void *arg, const char *type)
{
    struct attachments *a = arg;
    harvest_count(a->c, type);
}

static int give_attachment(struct harvest *c, const struct harvest_item *message,
                           const struct attachment *file, struct err *err)
{
    struct buf id = BUF_INIT;
    int status = 0;
    buf_addstr(&id, message->id);
    document_id_add(&id, file->name, true);
    struct harvest_item item = {.id = id.p, .nesting = message->nesting + 1};
    if (id_matches(&c->options.exclude, id.p))
        harvest_skip(c, id.p, "excluded");
    else
        status = harvest_bytes(c, &item, file->name, file->bytes.p, file->bytes.len, err);
    buf_release(&id);
    return status;
}

static int give_text(struct harvest *c, const struct harvest_item *item,
                     const struct prose_text *text, const struct encoding *how, struct err *err)
{
    if (!harvest_is_included(c, item->id)) {
        harvest_skip(c, item->id, "not included");
        return 0;
    }
    harvest_note_encoding(c, item->id, "eml", how);
    return harvest_text(c, item, text, false, err);
}

int harvest_mail(struct harvest *c, const struct harvest_item *item, const char *p, size_t len,
                 struct err *err)
{
    struct attachments files = {.c = c};
    const struct mail_sink sink = {keep_file, count_part, &files};
    struct prose_text text;
    struct encoding how;
    if (item->nesting >= HARVEST_NESTING) {
        err_set(err, "archives and messages are nested more than %d deep", HARVEST_NESTING);
        return harvest_fail(c, item, "nested too deep", err);
    }
    prose_text_init(&text);
    int status = extract_mail(&text, p, len, c->options.encoding, &how, &sink, err);
    bool whole = status == 0;
    status =
        whole ? give_text(c, item, &text, &how, err) : harvest_fail(c, item, "unreadable", err);
    for (size_t i = 0; i < files.n; i++) {
        if (!status && whole)
            status = give_attachment(c, item, &files.items[i], err);
        free(files.items[i].name);
        buf_release(&files.items[i].bytes);
    }
    free(files.items);
    prose_text_release(&text);
    return status;
}

int harvest_mbox(struct harvest *c, const struct harvest_item *item, const char *p, size_t len,
                 struct err *err)
{
    struct buf message = BUF_INIT, id = BUF_INIT;
    size_t at = 0, number = 0;
    int status = 0;
    while (!status && mbox_next(p, len, &at, &message)) {
        buf_clear(&id);
        buf_addf(&id, "%s/%zu", item->id, ++number);
        struct harvest_item one = {id.p, item->operand, item->nesting};
        if (id_matches(&c->options.exclude, id.p)) {
            harvest_skip(c, id.p, "excluded");
        } else if (message.len > c->options.max_size) {
            status = harvest_too_large(c, &one, err);
        } else {
            status = harvest_mail(c, &one, message.p, message.len, err);
        }
    }
    buf_release(&message);
    buf_release(&id);
    return status;
}
