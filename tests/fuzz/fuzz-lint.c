/* Any bytes as documents: a report in each form, and what --fix keeps has no error when it is read
 * again. The bytes up to the first NUL, if there is one, are held out from the rest. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "formats/json.h"
#include "text/lint.h"
#include "text/lint_document.h"
#include "text/lint_print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pool *pool;
static struct lint_tables *tables;

struct output_of {
    struct lint_printer printers[3];
    struct buf texts[3], kept;
};

static int on_report(void *arg, const struct lint_report *r, struct err *err)
{
    struct output_of *o = arg;
    (void)err;
    for (int i = 0; i < 3; i++)
        lint_print_finding(&o->printers[i], r, &o->texts[i]);
    return 0;
}

static int on_kept(void *arg, const char *line, size_t len, struct err *err)
{
    struct output_of *o = arg;
    (void)err;
    buf_add(&o->kept, line, len);
    buf_addch(&o->kept, '\n');
    return 0;
}

/* Returns whether it could be read; *errors are those of what was kept. */
static int run(struct output_of *o, const void *p, size_t len, const void *held, size_t held_len,
               uint64_t *errors)
{
    struct lint_options options;
    struct lint_sink sink = {on_report, on_kept, NULL, o};
    struct lint *l;
    struct input *in;
    struct err err;
    lint_options_init(&options);
    options.tables = tables;
    if (lint_new(&l, &options, pool, &sink, &err))
        abort();
    for (int i = 0; i < 3; i++) {
        o->printers[i] = (struct lint_printer){.format = (enum lint_format)i};
        buf_init(&o->texts[i]);
        lint_print_begin(&o->printers[i], &o->texts[i]);
    }
    buf_init(&o->kept);
    int status = 0;
    if (held && !input_open_memory(&in, "held", held, held_len, &err))
        status = lint_hold_out(l, in, &err);
    if (!status && !input_open_memory(&in, "fuzz", p, len, &err))
        status = lint_read(l, in, &err);
    if (!status && lint_finish(l, &err))
        abort();
    const struct lint_summary *s = lint_get_summary(l);
    for (int i = 0; i < 3; i++)
        lint_print_end(&o->printers[i], s, &o->texts[i]);
    *errors = s->errors;
    lint_free(l);
    return !status;
}

static void release(struct output_of *o)
{
    for (int i = 0; i < 3; i++)
        buf_release(&o->texts[i]);
    buf_release(&o->kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    const uint8_t *from = nul ? nul + 1 : data;
    size_t left = size - (size_t)(from - data);
    struct output_of o, again;
    uint64_t errors;
    struct err err;
    if (!pool && (!(pool = pool_new(1, &err)) || lint_tables_new(&tables, &err)))
        abort();
    if (run(&o, from, left, nul ? data : NULL, nul ? (size_t)(nul - data) : 0, &errors)) {
        json_t *report =
            json_parse(o.texts[LINT_JSON_OBJECT].p, o.texts[LINT_JSON_OBJECT].len, &err);
        if (!report)
            abort();
        json_decref(report);
        if (o.kept.len) {
            if (run(&again, o.kept.p, o.kept.len, NULL, 0, &errors) && errors)
                abort();
            release(&again);
        }
    }
    release(&o);
    return 0;
}
