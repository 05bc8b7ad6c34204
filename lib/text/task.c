#include "text/task.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "text/template.h"

enum part { PROMPT, CHOICES, ANSWER, ENDING, PARTS };
static const char *const part_names[PARTS] = {"prompt", "choices", "answer", "ending"};

struct task {
    struct template *parts[PARTS]; /* NULL: no ending, no choices */
    char *delimiter, *separator;
    bool answering;
    struct buf before; /* description and examples */
    struct template_rendering rendering;
};

/* ---- templates ---- */

/* An expression as a template that prints its value as JSON. Braces around it are allowed, as task
 * files of others have them. */
static void add_expression(struct buf *b, const char *text)
{
    size_t len = strlen(text);
    if (len >= 4 && !strncmp(text, "{{", 2) && !strcmp(text + len - 2, "}}")) {
        text += 2;
        len -= 4;
    }
    buf_addstr(b, "{{ (");
    buf_add(b, text, len);
    buf_addstr(b, ") | tojson }}");
}

static int compile(struct task *t, enum part part, const char *prelude, const char *text,
                   struct err *err)
{
    struct buf source = BUF_INIT;
    if (!text)
        return part == ENDING || (part == CHOICES && t->answering)
                   ? 0
                   : err_set(err, "no template for the %s", part_names[part]);
    buf_addstr(&source, prelude ? prelude : "");
    if (part == CHOICES || part == ANSWER)
        add_expression(&source, text);
    else
        buf_addstr(&source, text);
    int rc = template_compile(&t->parts[part], part_names[part], source.p, source.len, err);
    buf_release(&source);
    if (!rc)
        template_set_strict(t->parts[part]);
    return rc;
}

int task_new(struct task **out, const struct task_spec *spec, struct err *err)
{
    struct task *t = xcalloc(1, sizeof *t);
    const char *texts[PARTS] = {spec->prompt, spec->choices, spec->answer, spec->ending};
    *out = NULL;
    t->delimiter = xstrdup(spec->delimiter ? spec->delimiter : " ");
    t->separator = xstrdup(spec->separator ? spec->separator : "\n\n");
    t->answering = spec->answering != NULL;
    buf_init(&t->before);
    template_rendering_init(&t->rendering);
    for (enum part p = 0; p < PARTS; p++)
        if (compile(t, p, spec->prelude, texts[p], err)) {
            task_free(t);
            return -1;
        }
    *out = t;
    return 0;
}

void task_free(struct task *t)
{
    if (!t)
        return;
    for (enum part p = 0; p < PARTS; p++)
        template_free(t->parts[p]);
    free(t->delimiter);
    free(t->separator);
    buf_release(&t->before);
    template_rendering_release(&t->rendering);
    free(t);
}

/* Into t->rendering. */
static int render(struct task *t, enum part part, const json_t *object, struct err *err)
{
    if (template_render(t->parts[part], object, &t->rendering, err))
        return err_prefix(err, "%s", part_names[part]);
    return 0;
}

static json_t *evaluate(struct task *t, enum part part, const json_t *object, struct err *err)
{
    if (render(t, part, object, err))
        return NULL;
    json_t *value = json_parse(t->rendering.text.p, t->rendering.text.len, err);
    if (!value)
        err_prefix(err, "%s", part_names[part]);
    return value;
}

/* ---- items ---- */

void task_item_init(struct task_item *item)
{
    *item = (struct task_item){0};
}

void task_item_release(struct task_item *item)
{
    for (size_t i = 0; i < item->n; i++) {
        buf_release(&item->contexts[i]);
        buf_release(&item->endings[i]);
    }
    free(item->contexts);
    free(item->endings);
    free(item->right);
    json_decref(item->choices);
    json_decref(item->id);
    task_item_init(item);
}

/* The choice that the value names: its text, a number from 0, a letter from A. n if none. */
static size_t find_choice(const json_t *choices, const json_t *value)
{
    size_t n = json_array_size(choices), at = n;
    if (json_is_integer(value)) {
        json_int_t number = json_integer_value(value);
        return number >= 0 && (size_t)number < n ? (size_t)number : n;
    }
    if (!json_is_string(value))
        return n;
    for (size_t i = n; i-- > 0;)
        if (json_equal(json_array_get(choices, i), value))
            at = i;
    const char *text = json_string_value(value);
    char *end;
    if (at == n && text[0] >= 'A' && text[0] <= 'Z' && !text[1])
        at = (size_t)(text[0] - 'A');
    else if (at == n && text[0] >= '0' && text[0] <= '9')
        at = strtoul(text, &end, 10), at = *end ? n : at;
    return at < n ? at : n;
}

static int mark_right(struct task_item *item, const json_t *answer, struct err *err)
{
    bool is_list = json_is_array(answer);
    size_t n = is_list ? json_array_size(answer) : 1;
    for (size_t i = 0; i < n; i++) {
        size_t at = find_choice(item->choices, is_list ? json_array_get(answer, i) : answer);
        if (at == item->n)
            return err_set(err, "answer: is none of the %zu choices", item->n);
        item->right[at] = true;
    }
    return n ? 0 : err_set(err, "answer: names no choice");
}

static int check_choices(const json_t *choices, struct err *err)
{
    if (!json_is_array(choices))
        return err_set(err, "choices: is not a list of strings");
    if (!json_array_size(choices))
        return err_set(err, "choices: is empty: there is nothing to choose from");
    for (size_t i = 0; i < json_array_size(choices); i++)
        if (!json_string_length(json_array_get(choices, i)))
            return err_set(err, "choices: number %zu is %s", i,
                           json_is_string(json_array_get(choices, i)) ? "empty" : "no string");
    return 0;
}

/* From the prompt, or with an ending from that, which stands in t->rendering. */
static void set_texts(const struct task *t, struct task_item *item, bool choices_first)
{
    const struct buf *text = &t->rendering.text;
    for (size_t i = 0; i < item->n; i++) {
        const json_t *choice = json_array_get(item->choices, i);
        struct buf *context = &item->contexts[i], *ending = &item->endings[i];
        buf_add(context, t->before.p, t->before.len);
        if (!choices_first)
            buf_add(context, text->p, text->len);
        buf_addstr(ending, t->delimiter);
        buf_add(choices_first ? context : ending, json_string_value(choice),
                json_string_length(choice));
        if (choices_first)
            buf_add(ending, text->p, text->len);
    }
}

static void reserve(struct task_item *item, size_t n)
{
    item->right = xcalloc(n, sizeof *item->right);
    item->contexts = xcalloc(n, sizeof *item->contexts);
    item->endings = xcalloc(n, sizeof *item->endings);
    item->n = n;
    for (size_t i = 0; i < n; i++) {
        buf_init(&item->contexts[i]);
        buf_init(&item->endings[i]);
    }
}

static int make_choices(struct task *t, const json_t *object, struct task_item *item,
                        struct err *err)
{
    item->choices = evaluate(t, CHOICES, object, err);
    if (!item->choices || check_choices(item->choices, err))
        return -1;
    json_t *answer = evaluate(t, ANSWER, object, err);
    if (!answer)
        return -1;
    reserve(item, json_array_size(item->choices));
    int rc = mark_right(item, answer, err);
    json_decref(answer);
    if (rc || render(t, t->parts[ENDING] ? ENDING : PROMPT, object, err))
        return -1;
    set_texts(t, item, t->parts[ENDING] != NULL);
    return 0;
}

/* A text or a number as a text; NULL for anything else. */
static json_t *text_of(json_t *value)
{
    struct buf b = BUF_INIT;
    if (json_is_string(value))
        return json_incref(value);
    if (!json_is_number(value))
        return NULL;
    json_add(&b, value);
    json_t *text = json_stringn(b.p, b.len);
    buf_release(&b);
    return text;
}

static int take_answers(struct task_item *item, json_t *answer, struct err *err)
{
    bool is_list = json_is_array(answer);
    size_t n = is_list ? json_array_size(answer) : 1;
    item->choices = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *text = text_of(is_list ? json_array_get(answer, i) : answer);
        if (!text)
            return err_set(err, "answer: is neither a text nor a list of texts");
        json_array_append_new(item->choices, text);
    }
    return n ? 0 : err_set(err, "answer: is an empty list");
}

static int make_answer(struct task *t, const json_t *object, struct task_item *item,
                       struct err *err)
{
    json_t *answer = evaluate(t, ANSWER, object, err);
    if (!answer)
        return -1;
    int rc = take_answers(item, answer, err);
    json_decref(answer);
    if (rc || render(t, PROMPT, object, err))
        return -1;
    const json_t *first = json_array_get(item->choices, 0);
    reserve(item, 1);
    item->right[0] = true;
    buf_add(&item->contexts[0], t->before.p, t->before.len);
    buf_add(&item->contexts[0], t->rendering.text.p, t->rendering.text.len);
    buf_addstr(&item->endings[0], t->delimiter);
    buf_add(&item->endings[0], json_string_value(first), json_string_length(first));
    return 0;
}

int task_make(struct task *t, const json_t *object, struct task_item *item, struct err *err)
{
    task_item_release(item);
    if (!json_is_object(object))
        return err_set(err, "is not a JSON object");
    if (t->answering ? make_answer(t, object, item, err) : make_choices(t, object, item, err))
        return -1;
    item->id = json_incref(json_object_get(object, "id"));
    return 0;
}

/* ---- what stands before ---- */

void task_describe(struct task *t, const char *text)
{
    buf_addstr(&t->before, text);
}

int task_add_example(struct task *t, const json_t *object, struct err *err)
{
    struct task_item item;
    struct buf before = t->before;
    task_item_init(&item);
    buf_init(&t->before); /* an example stands alone */
    int rc = task_make(t, object, &item, err);
    buf_release(&t->before);
    t->before = before;
    for (size_t i = 0; i < item.n && !rc; i++)
        if (item.right[i]) {
            buf_add(&t->before, item.contexts[i].p, item.contexts[i].len);
            buf_add(&t->before, item.endings[i].p, item.endings[i].len);
            buf_addstr(&t->before, t->separator);
            break;
        }
    task_item_release(&item);
    return rc;
}
