#include "text/spool.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "formats/json.h"

int spool_open(struct err *err)
{
    const char *dir = getenv("TMPDIR");
    struct buf path = BUF_INIT;
    buf_addf(&path, "%s/ft-text.XXXXXX", dir && *dir ? dir : "/tmp");
    int fd = mkostemp(path.p, O_CLOEXEC);
    if (fd < 0)
        err_errno(err, "%s", path.p);
    else
        unlink(path.p);
    buf_release(&path);
    return fd;
}

/* A document in the file: this, its strings one behind the other, its headings. */
struct head {
    size_t id, source, text, record; /* lengths; SIZE_MAX: there is none */
    size_t n_headings;
};

struct spool {
    FILE *file;
    struct buf id, source, record;
    struct prose_text text;
    json_t *parsed;
};

int spool_new(struct spool **out, struct err *err)
{
    int fd = spool_open(err);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w+");
    *out = NULL;
    if (!file) {
        if (fd >= 0) {
            err_errno(err, "temporary file");
            close(fd);
        }
        return -1;
    }
    struct spool *s = xcalloc(1, sizeof *s);
    s->file = file;
    buf_init(&s->id);
    buf_init(&s->source);
    buf_init(&s->record);
    prose_text_init(&s->text);
    *out = s;
    return 0;
}

void spool_free(struct spool *s)
{
    if (!s)
        return;
    fclose(s->file);
    json_decref(s->parsed);
    buf_release(&s->id);
    buf_release(&s->source);
    buf_release(&s->record);
    prose_text_release(&s->text);
    free(s);
}

static size_t length_of(const char *string)
{
    return string ? strlen(string) : SIZE_MAX;
}

static int put(struct spool *s, const void *p, size_t len, struct err *err)
{
    if (len != SIZE_MAX && len && fwrite(p, 1, len, s->file) != len)
        return err_errno(err, "temporary file: writing");
    return 0;
}

int spool_add(struct spool *s, const struct harvest_document *d, struct err *err)
{
    const struct prose_text *t = d->text;
    buf_clear(&s->record);
    if (d->record)
        json_add(&s->record, d->record);
    struct head head = {length_of(d->id), length_of(d->source), t ? t->text.len : SIZE_MAX,
                        d->record ? s->record.len : SIZE_MAX, t ? t->n_headings : 0};
    if (put(s, &head, sizeof head, err) || put(s, d->id, head.id, err) ||
        put(s, d->source, head.source, err) || put(s, t ? t->text.p : NULL, head.text, err) ||
        put(s, s->record.p, head.record, err))
        return -1;
    return t ? put(s, t->headings, t->n_headings * sizeof *t->headings, err) : 0;
}

int spool_rewind(struct spool *s, struct err *err)
{
    if (fflush(s->file) || fseek(s->file, 0, SEEK_SET))
        return err_errno(err, "temporary file: writing");
    return 0;
}

/* Fills b with len bytes of the file. */
static int get(struct spool *s, struct buf *b, size_t len, struct err *err)
{
    buf_clear(b);
    if (len == SIZE_MAX)
        return 0;
    buf_reserve(b, len);
    if (fread(b->p, 1, len, s->file) != len)
        return err_set(err, "temporary file: cut off");
    b->len = len;
    b->p[len] = 0;
    return 0;
}

static int get_headings(struct spool *s, size_t n, struct err *err)
{
    struct prose_text *t = &s->text;
    t->n_headings = 0;
    for (size_t i = 0; i < n; i++) {
        struct prose_heading h;
        if (fread(&h, sizeof h, 1, s->file) != 1)
            return err_set(err, "temporary file: cut off");
        prose_text_add_heading(t, h);
    }
    return 0;
}

int spool_next(struct spool *s, struct harvest_document *d, struct prose_text **text,
               struct err *err)
{
    struct head head;
    size_t got = fread(&head, 1, sizeof head, s->file);
    if (!got && !ferror(s->file))
        return 0;
    if (got != sizeof head)
        return err_set(err, "temporary file: cut off");
    if (get(s, &s->id, head.id, err) || get(s, &s->source, head.source, err) ||
        get(s, &s->text.text, head.text, err) || get(s, &s->record, head.record, err) ||
        get_headings(s, head.n_headings, err))
        return -1;
    json_decref(s->parsed);
    s->parsed = NULL;
    if (head.record != SIZE_MAX && !(s->parsed = json_parse(s->record.p, s->record.len, err)))
        return err_prefix(err, "temporary file");
    *text = head.text == SIZE_MAX ? NULL : &s->text;
    *d = (struct harvest_document){head.id == SIZE_MAX ? NULL : s->id.p, s->source.p, *text,
                                   s->parsed};
    return 1;
}
