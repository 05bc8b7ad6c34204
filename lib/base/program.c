#include "base/program.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/outfile.h"
#include "base/shell_completion.h"

static const struct program *running; /* its table is flat */
static int saved_argc;
static char **saved_argv; /* a copy from before getopt_long permuted it */

static void vmessage(const char *fmt, va_list ap)
{
    char line[2048];
    vsnprintf(line, sizeof line, fmt, ap);
    fprintf(stderr, "%s: %s\n", program_name(), line);
}

const char *program_name(void)
{
    return running ? running->name : program_invocation_short_name;
}

void warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vmessage(fmt, ap);
    va_end(ap);
}

void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vmessage(fmt, ap);
    va_end(ap);
    exit(1);
}

void usage_error(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vmessage(fmt, ap);
    va_end(ap);
    fprintf(stderr, "Try '%s --help' for more information.\n", program_name());
    exit(2);
}

static void print_option(const struct option_spec *o)
{
    enum { COLUMN = 28 };
    struct buf left = BUF_INIT;
    if (o->kind == OPT_HEADING) {
        printf("\n%s:\n", o->name);
        return;
    }
    if (o->letter)
        buf_addf(&left, "  -%c, --%s", o->letter, o->name);
    else
        buf_addf(&left, "      --%s", o->name);
    if (o->kind == OPT_CHOICE) {
        buf_addch(&left, '=');
        for (size_t i = 0; o->choices[i]; i++)
            buf_addf(&left, "%s%s", i ? "|" : "", o->choices[i]);
    } else if (o->arg) {
        buf_addf(&left, "=%s", o->arg);
    }
    if (left.len >= COLUMN)
        printf("%s\n%*s%s\n", left.p, COLUMN, "", o->help);
    else
        printf("%-*s%s\n", COLUMN, left.p, o->help);
    buf_release(&left);
}

static _Noreturn void print_help(void)
{
    printf("Usage: %s %s\n%s\n", running->name, running->synopsis, running->purpose);
    if (running->n_options && running->options[0].kind != OPT_HEADING)
        putchar('\n');
    for (size_t i = 0; i < running->n_options; i++)
        print_option(&running->options[i]);
    printf("\n      --help                display this help and exit\n"
           "      --version             output version information and exit\n");
    if (running->notes)
        printf("\n%s", running->notes);
    if (fflush(stdout) || ferror(stdout))
        die("stdout: %s", strerror(errno));
    exit(0);
}

static _Noreturn void print_version(void)
{
    printf("%s (tuneutils) %s\n", running->name, TUNEUTILS_VERSION);
    if (fflush(stdout) || ferror(stdout))
        die("stdout: %s", strerror(errno));
    exit(0);
}

/* Alone on the command line, and whole: so it is in no abbreviation's way. */
static void serve_completion(int argc, char **argv)
{
    static const char option[] = "--completion=";
    struct buf script = BUF_INIT;
    if (argc != 2 || strncmp(argv[1], option, sizeof option - 1) != 0)
        return;
    const char *shell = argv[1] + sizeof option - 1;
    if (shell_completion(&script, running, shell))
        usage_error("--completion: '%s' is none of bash, zsh, fish", shell);
    if (fwrite(script.p, 1, script.len, stdout) != script.len || fflush(stdout))
        die("stdout: %s", strerror(errno));
    exit(0);
}

static void check_bounds(const struct option_spec *o, double v, const char *text)
{
    if ((o->min != 0 || o->max != 0) && (v < o->min || v > o->max))
        usage_error("--%s: %s is not between %g and %g", o->name, text, o->min, o->max);
}

static uint64_t parse_u64(const struct option_spec *o, const char *text, bool suffixes)
{
    char *end;
    errno = 0;
    uint64_t v = strtoull(text, &end, 10);
    uint64_t unit = 1;
    if (suffixes && end != text && *end) {
        const char *units = "KMG", *u = strchr(units, toupper((unsigned char)*end));
        if (u) {
            unit = (uint64_t)1024 << 10 * (u - units);
            end++;
            if (!strcmp(end, "iB") || !strcmp(end, "B"))
                end = strchr(end, 0);
        }
    }
    if (!isdigit((unsigned char)*text) || *end || errno || __builtin_mul_overflow(v, unit, &v))
        usage_error("--%s: '%s' is not a whole number", o->name, text);
    return v;
}

static double parse_double(const struct option_spec *o, const char *text)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v))
        usage_error("--%s: '%s' is not a number", o->name, text);
    return v;
}

static int parse_choice(const struct option_spec *o, const char *text)
{
    for (int i = 0; o->choices[i]; i++)
        if (!strcmp(o->choices[i], text))
            return i;
    struct buf all = BUF_INIT;
    for (int i = 0; o->choices[i]; i++)
        buf_addf(&all, "%s%s", i ? ", " : "", o->choices[i]);
    usage_error("--%s: '%s' is none of %s", o->name, text, all.p);
}

static void store(const struct option_spec *o, const char *text)
{
    switch (o->kind) {
    case OPT_FLAG:
        *(bool *)o->value = true;
        break;
    case OPT_NOFLAG:
        *(bool *)o->value = false;
        break;
    case OPT_STRING:
        *(const char **)o->value = text;
        break;
    case OPT_LIST: {
        struct string_list *list = o->value;
        ARRAY_GROW(list->items, list->n, list->cap);
        list->items[list->n++] = text;
        break;
    }
    case OPT_SIZE: {
        uint64_t v = parse_u64(o, text, true);
        check_bounds(o, (double)v, text);
        *(size_t *)o->value = (size_t)v;
        break;
    }
    case OPT_U64:
        *(uint64_t *)o->value = parse_u64(o, text, false);
        break;
    case OPT_DOUBLE: {
        double v = parse_double(o, text);
        check_bounds(o, v, text);
        *(double *)o->value = v;
        break;
    }
    case OPT_CHOICE:
        *(int *)o->value = parse_choice(o, text);
        break;
    case OPT_HEADING:
    case OPT_TABLE:
        break;
    }
}

/* Ends as the signal would have, without leaving temporary files. */
static void on_fatal_signal(int sig)
{
    outfile_remove_all();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void catch_fatal_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ};
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        struct sigaction action;
        if (sigaction(signals[i], NULL, &action) || action.sa_handler != SIG_DFL)
            continue; /* nohup and the like stay as they are */
        action.sa_handler = on_fatal_signal;
        sigemptyset(&action.sa_mask);
        action.sa_flags = 0;
        sigaction(signals[i], &action, NULL);
    }
}

/* With the options of OPT_TABLE in the place of their entry. For as long as the program runs. */
static const struct program *flattened(const struct program *program)
{
    static struct program flat;
    struct option_spec *options = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < program->n_options; i++) {
        const struct option_spec *o = &program->options[i];
        const struct option_table one = {o, 1};
        const struct option_table *table = o->kind == OPT_TABLE ? o->value : &one;
        for (size_t k = 0; k < table->n; k++) {
            ARRAY_GROW(options, n, cap);
            options[n++] = table->options[k];
        }
    }
    flat = *program;
    flat.options = options;
    flat.n_options = n;
    return &flat;
}

int program_start(const struct program *program, int argc, char **argv)
{
    enum { OPT_HELP = 1, OPT_VERSION, OPT_FIRST = 256 };
    program = running = flattened(program);
    saved_argc = argc;
    saved_argv = xcalloc((size_t)argc + 1, sizeof *saved_argv);
    memcpy(saved_argv, argv, (size_t)argc * sizeof *argv);
    if (argc)
        argv[0] = (char *)(uintptr_t)program->name; /* getopt_long's messages begin with it */
    catch_fatal_signals();
    serve_completion(argc, argv);

    struct option *longs = xcalloc(program->n_options + 3, sizeof *longs);
    struct buf shorts = BUF_INIT;
    size_t n = 0;
    longs[n++] = (struct option){"help", no_argument, NULL, OPT_HELP};
    longs[n++] = (struct option){"version", no_argument, NULL, OPT_VERSION};
    for (size_t i = 0; i < program->n_options; i++) {
        const struct option_spec *o = &program->options[i];
        if (o->kind == OPT_HEADING)
            continue;
        int has_arg =
            o->kind == OPT_FLAG || o->kind == OPT_NOFLAG ? no_argument : required_argument;
        longs[n++] = (struct option){o->name, has_arg, NULL, OPT_FIRST + (int)i};
        if (o->letter) {
            buf_addch(&shorts, o->letter);
            if (has_arg == required_argument)
                buf_addch(&shorts, ':');
        }
    }
    int c;
    while ((c = getopt_long(argc, argv, shorts.p, longs, NULL)) != -1) {
        if (c == OPT_HELP)
            print_help();
        if (c == OPT_VERSION)
            print_version();
        if (c == '?') {
            fprintf(stderr, "Try '%s --help' for more information.\n", program->name);
            exit(2);
        }
        for (size_t i = 0; i < program->n_options; i++)
            if (c == OPT_FIRST + (int)i || (c < OPT_FIRST && program->options[i].letter == c))
                store(&program->options[i], optarg);
    }
    free(longs);
    buf_release(&shorts);
    return optind;
}

static bool is_left_out(const char *arg, const char *const *left_out, bool *takes_next)
{
    *takes_next = false;
    if (strncmp(arg, "--", 2) != 0) {
        if (arg[0] != '-' || !arg[1])
            return false;
        for (size_t i = 0; i < running->n_options; i++) {
            const struct option_spec *o = &running->options[i];
            if (o->letter != arg[1] || !o->letter)
                continue;
            for (; *left_out; left_out++)
                if (!strcmp(*left_out, o->name)) {
                    *takes_next = o->arg && !arg[2];
                    return true;
                }
            return false;
        }
        return false;
    }
    for (; *left_out; left_out++) {
        size_t len = strlen(*left_out);
        if (strncmp(arg + 2, *left_out, len) || (arg[2 + len] && arg[2 + len] != '='))
            continue;
        for (size_t i = 0; i < running->n_options; i++)
            if (running->options[i].kind != OPT_HEADING &&
                !strcmp(running->options[i].name, *left_out))
                *takes_next = running->options[i].kind != OPT_FLAG &&
                              running->options[i].kind != OPT_NOFLAG && !arg[2 + len];
        return true;
    }
    return false;
}

char *program_invocation(const char *const *left_out)
{
    struct buf line = BUF_INIT;
    buf_addf(&line, "%s %s", program_name(), TUNEUTILS_VERSION);
    for (int i = 1; i < saved_argc; i++) {
        bool takes_next;
        if (is_left_out(saved_argv[i], left_out, &takes_next)) {
            i += takes_next;
            continue;
        }
        buf_addf(&line, " %s", saved_argv[i]);
    }
    return buf_detach(&line, NULL);
}

void program_each_value(program_value_fn *fn, void *arg)
{
    for (size_t i = 0; i < running->n_options; i++) {
        const struct option_spec *o = &running->options[i];
        if (o->kind == OPT_STRING && *(const char *const *)o->value)
            fn(arg, o, *(const char *const *)o->value);
        const struct string_list *list = o->kind == OPT_LIST ? o->value : NULL;
        for (size_t k = 0; list && k < list->n; k++)
            fn(arg, o, list->items[k]);
    }
}

bool program_has_option(const char *name)
{
    for (size_t i = 0; i < running->n_options; i++)
        if (running->options[i].kind != OPT_HEADING && !strcmp(running->options[i].name, name))
            return true;
    return false;
}
