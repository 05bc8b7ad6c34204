/*
 * task: questions, with choices or to be answered, made from a task file's JSON objects by Jinja
 * templates.
 *
 * A spec says in the language of chat templates how an object becomes a prompt, a list of choices
 * and the right one, as the tasks of lm-evaluation-harness do; the presets are those tasks whose
 * files are in common use. What a model is asked is then prompt + delimiter + choice, for each
 * choice, behind the description and the examples.
 */
#ifndef TEXT_TASK_H
#define TEXT_TASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "text/exact.h"

/* How a question is answered where there are no choices: by a text that is generated, up to the
 * first of these strings, and compared. */
struct task_answering {
    const char *const *until; /* [n_until] */
    size_t n_until;
    struct exact_spec exact;
};

struct task_spec {
    const char *prelude;   /* template text before each of the others: macros, {% set %}; or NULL */
    const char *prompt;    /* template: "Question: {{question}}\nAnswer:" */
    const char *choices;   /* expression: a list of strings */
    const char *answer;    /* expression: the number of the right choice from 0, a letter from A,
                              its text, or a list of such */
    const char *ending;    /* template, or NULL: the choices are different beginnings of this text,
                              in place of different ends of the prompt */
    const char *delimiter; /* between prompt and choice, choice and ending, or prompt and answer */
    const char *description; /* before everything, where the user gives none; or NULL */
    const char *separator;   /* behind an example; NULL: an empty line */
    const struct task_answering
        *answering; /* NULL: by choices. Else answer is the right text, or a
                       list of right ones, and choices and ending are NULL */
};

struct task_preset {
    const char *name, *about;
    struct task_spec spec;
};

extern const struct task_preset task_presets[];        /* ends with a name that is NULL */
const struct task_spec *task_preset(const char *name); /* NULL: there is none of that name */

/* One question. Choice i is asked for as contexts[i], then endings[i], both [n]; one to be answered
 * has its context in contexts[0] and n = 1. */
struct task_item {
    json_t *id; /* the object's "id", else NULL */
    json_t
        *choices; /* [n] strings, as the answer names them; or the right answers, of any number */
    struct buf *contexts, *endings;
    bool *right; /* [n] */
    size_t n;
};

void task_item_init(struct task_item *item);
void task_item_release(struct task_item *item);

struct task;

/* Compiles the templates; an error names the one that is wrong. */
int task_new(struct task **t, const struct task_spec *spec, struct err *err);
void task_free(struct task *t); /* NULL is allowed */

/* What stands before each prompt from here on: description and solved examples. */
void task_describe(struct task *t, const char *text);
/* Adds prompt, delimiter and right choice of an object, and an empty line behind. */
int task_add_example(struct task *t, const json_t *object, struct err *err);

/* Releases what item holds and fills it from an object. */
int task_make(struct task *t, const json_t *object, struct task_item *item, struct err *err);

#endif
