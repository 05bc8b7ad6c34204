/*
 * chat_args: the options of a command line that say how documents become chats.
 */
#ifndef TEXT_CHAT_ARGS_H
#define TEXT_CHAT_ARGS_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"
#include "base/program.h"
#include "formats/document_source.h"
#include "text/chat.h"

/* Those that programs share which turn documents into what is learnt. */
struct chat_args {
    int train_on, style, format;
    const char *template;
    struct string_list variables, fields;

    /* by chat_args_parse */
    json_t *parsed_variables;
    struct document_fields parsed_fields;
};

/* Lines of a program's table, for a struct chat_args named a. */
#define CHAT_ARGS_INPUT(a)                                                                         \
    {OPT_CHOICE,                                                                                   \
     0,                                                                                            \
     "format",                                                                                     \
     &(a).format,                                                                                  \
     NULL,                                                                                         \
     "of the files [auto: by their names]",                                                        \
     document_format_choices,                                                                      \
     0,                                                                                            \
     0},                                                                                           \
    {                                                                                              \
        OPT_LIST, 0, "field", &(a).fields, "FIELD=KEY",                                            \
            "take a field (text, prompt ...) from this key or column", NULL, 0, 0                  \
    }
#define CHAT_ARGS_LEARNT(a)                                                                        \
    {OPT_CHOICE,         0, "train-on", &(a).train_on, NULL, "what is learnt [auto]",              \
     chat_train_choices, 0, 0},                                                                    \
        {OPT_CHOICE,         0,    "style",                                                        \
         &(a).style,         NULL, "how a prompt and its completion are joined [auto]",            \
         chat_style_choices, 0,    0},                                                             \
        {OPT_STRING, 0, "template", &(a).template, "FILE", "chat template [the model's]",          \
         NULL,       0, 0},                                                                        \
    {                                                                                              \
        OPT_LIST, 0, "set", &(a).variables, "NAME=JSON", "set a variable of the template", NULL,   \
            0, 0                                                                                   \
    }

/* -1 for what is not FIELD=KEY or NAME=JSON, which is wrong usage. */
int chat_args_parse(struct chat_args *a, struct err *err);
void chat_args_release(struct chat_args *a);
/* What they make of a tokenizer; o has the other options, and gets these. After chat_args_parse. */
int chat_args_chat(struct chat **c, const struct chat_args *a, const struct tokenizer *t,
                   struct chat_options o, struct err *err);

#endif
