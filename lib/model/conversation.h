/*
 * conversation: somebody talks with a model, line by line.
 *
 * A line is what the user says next; the answer comes as it is made. Where the model has a chat
 * template, it is given all that was said before; else, and of two models side by side, each line
 * is a prompt of its own. Lines that begin with "/" are commands; /help names them.
 *
 * On a terminal Ctrl-C ends the answer or drops the line, not the program. What a model says can't
 * act on the terminal: control characters but newline and tab are shown as ^X.
 */
#ifndef MODEL_CONVERSATION_H
#define MODEL_CONVERSATION_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "formats/archive.h"
#include "model/respond.h"
#include "text/prompt.h"

struct conversation_options {
    struct respond_options respond; /* next, put, grown, step, arg, samples and slots aside */
    struct prompt_reader *reader;   /* makes the prompts, none is read from it */
    bool apart;                     /* each line is a prompt of its own */
    int in;                         /* where lines come from */
    struct output *out;             /* where answers go */
    FILE *talk;                     /* what else is told: stderr */
};

/* Until the input ends. */
int conversation_hold(const struct conversation_options *options, struct err *err);

#endif
