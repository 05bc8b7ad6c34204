/*
 * harvest: documents out of files, folders, archives in them, archives in those, and stdin.
 *
 * The order is fixed: operands as given, folders by the bytes of the names, archives as they are.
 * What can't be read is reported and counted; the rest goes on. An archive that expands to far more
 * than its size is given up.
 */
#ifndef TEXT_HARVEST_H
#define TEXT_HARVEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/program.h"
#include "text/extract.h"
#include "text/prose.h"

struct harvest_file {
    dev_t device;
    ino_t inode;
};

struct harvest_options {
    struct string_list include, exclude; /* patterns, as for id_matches */
    bool strict;                         /* the first unreadable file or member ends it */
    bool each_line;                      /* each line of a text file is a document */
    size_t max_size;                     /* bytes of one file or member */
    struct harvest_file outputs[4];      /* no documents: what is written */
    size_t n_outputs;
    const char *encoding; /* of text that declares none and isn't UTF-8; NULL: guess */
    size_t max_ratio;     /* an operand may expand to so many times its size, and 64 MiB */
};

/* Exactly one of text and record is set. */
struct harvest_document {
    const char *id;     /* NULL for a record: it has its own */
    const char *source; /* the operand */
    const struct prose_text *text;
    json_t *record; /* an object from JSON Lines, of a known shape */
};

struct harvest_count {
    char *what;
    uint64_t n;
};

struct harvest_result {
    uint64_t documents;
    uint64_t unreadable;           /* files and members reported as such */
    uint64_t guessed;              /* documents whose encoding nothing declared */
    bool operand_failed;           /* an operand itself was damaged, not only something in it */
    struct harvest_count *skipped; /* by reason */
    size_t n_skipped, skipped_cap;
};

/* What became of a file or member. */
struct harvest_log {
    const char *id;
    const char *type;     /* "docx": it was read as such; NULL: it wasn't */
    const char *encoding; /* of its text; NULL: the format has only one */
    bool guessed;         /* the encoding was */
    const char *skipped;  /* why it was passed over, else NULL */
    const char *error;    /* why it couldn't be read, else NULL */
};

struct harvest_sink {
    /* -1 ends the walk. */
    int (*document)(void *arg, const struct harvest_document *document, struct err *err);
    void (*report)(void *arg, const char *message);
    /* Each file and member, also when nothing came of it; NULL: not wanted. */
    void (*log)(void *arg, const struct harvest_log *entry);
    void *arg;
};

/* Reads one operand: a path, or "-" for stdin. Call for each with the same harvest. */
struct harvest;
struct harvest *harvest_new(const struct harvest_options *options, const struct harvest_sink *sink);
int harvest_read(struct harvest *c, const char *operand, struct err *err);
/* The same with a file's bytes in memory, which isn't written to. */
int harvest_read_memory(struct harvest *c, const char *name, const void *p, size_t len,
                        struct err *err);
const struct harvest_result *harvest_result(const struct harvest *c);
void harvest_count(struct harvest *c, const char *reason); /* one more was skipped */
void harvest_free(struct harvest *c);

#endif
