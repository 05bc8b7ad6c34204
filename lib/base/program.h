/*
 * program: what every program's main file shares: its table of options, its messages, its end.
 *
 * One table parses the command line (getopt_long), prints --help and, for --completion=SHELL, what
 * a shell completes. Exit status: 0 done, 1 bad input or failure, 2 usage.
 */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TUNEUTILS_VERSION "0.1.0"

enum option_kind {
    OPT_FLAG,    /* bool *: set to true */
    OPT_NOFLAG,  /* bool *: set to false */
    OPT_STRING,  /* const char ** */
    OPT_LIST,    /* struct string_list *: may be given more than once */
    OPT_SIZE,    /* size_t *: a whole number; K, M, G suffixes are powers of 1024 */
    OPT_U64,     /* uint64_t * */
    OPT_DOUBLE,  /* double *: finite */
    OPT_CHOICE,  /* int *: index into choices, which is NULL-terminated */
    OPT_HEADING, /* no option: a heading in --help */
    OPT_TABLE,   /* const struct option_table *: the options in it stand here */
};

struct string_list {
    const char **items; /* views of argv */
    size_t n, cap;
};

struct option_spec {
    enum option_kind kind;
    char letter;      /* short option, 0 for none */
    const char *name; /* long option; or the heading's text */
    void *value;
    const char *arg;  /* metavariable in --help, NULL for flags; says what shells complete */
    const char *help; /* one line, without a full stop; the default in brackets at its end */
    const char *const *choices; /* of a list: what shells complete between its commas */
    double min, max;            /* bounds of a number, both 0 for none */
};

/* Options that several programs have. */
struct option_table {
    const struct option_spec *options;
    size_t n;
};

struct program {
    const char *name;     /* "ft-pack" */
    const char *synopsis; /* "[OPTION]... [FILE]..." */
    const char *purpose;  /* one sentence */
    const char *notes;    /* after the options: examples; NULL for none */
    const struct option_spec *options;
    size_t n_options;
};

/*
 * Parses argv, which it may permute, serves --help and --version, and exits with 2 on a usage
 * error. Returns the index of the first operand. Also: names the program for warn/die, and makes
 * SIGINT, SIGTERM and SIGHUP remove unfinished outputs before they end the process.
 */
int program_start(const struct program *program, int argc, char **argv);

/* Calls fn for every text that was given as the value of an option. */
typedef void program_value_fn(void *arg, const struct option_spec *o, const char *value);
void program_each_value(program_value_fn *fn, void *arg);
bool program_has_option(const char *name); /* whether its table has it */

/*
 * Goes into a sandbox (base/sandbox.h), in which what the command line names can be read, and the
 * places of what its outputs' options name be written; to be called before anything is opened. `runs`:
 * other programs may be run. Does what this kernel can; TUNEUTILS_SANDBOX in the environment says
 * otherwise: off, or on, where what it can't ends the program.
 */
void program_sandbox(char *const *operands, bool runs);

/* "name: message" on stderr, one line. */
void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));         /* exit 1 */
_Noreturn void usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* exit 2 */

const char *program_name(void);
/* "name version arguments...": for provenance. Arguments as given, without the program's own path;
 * options that don't change results (--threads, --progress, --log, -o ...) are left out by the
 * caller's list of long names, NULL-terminated. The caller frees it. */
char *program_invocation(const char *const *left_out);

#endif
