/*
 * train_session_internal: what the session's files share. Private to lib/model/train_session*.c.
 */
#ifndef MODEL_TRAIN_SESSION_INTERNAL_H
#define MODEL_TRAIN_SESSION_INTERNAL_H

#include "formats/checkpoint.h"
#include "model/train_session.h"
#include "model/vocabulary.h"

struct train_session {
    const struct train_request *request;
    struct train_options options;
    struct train_folder folder;
    struct train_run run;
    struct train_state state; /* of a resumed run */
    struct train_hashes hashes;
    struct checkpoint *checkpoint;
    struct decoder *decoder;
    struct vocabulary vocabulary;
    struct rows *rows, *held;
    struct preference *preference, *held_preference; /* NULL: the loss is sft */
    struct lora *lora;
    json_t *adapter_config;
    char *provenance;
    struct metrics metrics;
    struct trainer *trainer;
};

/* Whether this process reads the rows and writes: the first of several does. */
bool session_is_first(const struct train_session *s);
size_t session_threads(const struct train_session *s); /* 0: all processors */

/* Makes, loads or restores what is trained: train_session_adapter.c. */
int session_open_adapter(struct train_session *s, struct err *err);

#endif
