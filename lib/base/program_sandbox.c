/* What of the machine a program's command line says that it needs. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cachedir.h"
#include "base/mem.h"
#include "base/outfile.h"
#include "base/program.h"
#include "base/sandbox.h"

static bool is_one_of(const char *name, const char *const *list)
{
    while (*list && strcmp(*list, name) != 0)
        list++;
    return *list;
}

static void allow_input(struct sandbox *s, const char *path)
{
    sandbox_allow_read(s, path);
    sandbox_allow_links(s, path);
}

/* The text may be a path or have one in it: ADAPTER:WEIGHT, NAME=SHARE:FILE. */
static void allow_inputs_in(struct sandbox *s, const char *text)
{
    const char *colon = strrchr(text, ':'), *equals = strchr(text, '=');
    allow_input(s, text);
    if (colon) {
        char *before = xmemdup0(text, (size_t)(colon - text));
        allow_input(s, before);
        free(before);
    }
    if (equals)
        allow_input(s, equals + 1);
}

/* The folder that an output comes into, or, while that isn't there, the one that it will be in. */
static void allow_place_of(struct sandbox *s, const char *path)
{
    struct stat st;
    char *folder = xstrdup(path);
    for (;;) {
        char *slash = strrchr(folder, '/');
        while (slash && slash > folder && !slash[1]) { /* at the end */
            *slash = 0;
            slash = strrchr(folder, '/');
        }
        if (!slash || slash == folder) {
            sandbox_allow_change(s, slash ? "/" : ".");
            break;
        }
        *slash = 0;
        if (stat(folder, &st) == 0) {
            sandbox_allow_change(s, folder);
            break;
        }
    }
    free(folder);
}

static void allow_output(struct sandbox *s, const char *path)
{
    if (!strcmp(path, "-"))
        return;
    if (outfile_in_place(path))
        sandbox_allow_write(s, path);
    else
        allow_place_of(s, path);
}

static void allow_value(void *arg, const struct option_spec *o, const char *value)
{
    static const char *const outputs[] = {"output", "log", "save-logits", NULL};
    const char *colon = strrchr(value, ':');
    if (is_one_of(o->name, outputs))
        allow_output(arg, value);
    else
        allow_inputs_in(arg, value);
    if (!strcmp(o->name, "split") && colon)
        allow_output(arg, colon + 1);
}

/* Libraries load modules and tables when they first need them. */
static void allow_system(struct sandbox *s, bool runs)
{
    static const char *const read[] = {
        "/etc",
        "/usr",
        "/lib",
        "/lib64",
        "/bin",
        "/proc/self",
        "/proc/cpuinfo",
        "/proc/stat",
        "/dev/null",
        "/dev/urandom",
        "/sys/devices/system",
    };
    static const char *const run[] = {"/usr", "/lib", "/lib64", "/bin"};
    Dl_info libc;
    for (size_t i = 0; i < ARRAY_SIZE(read); i++)
        sandbox_allow_read(s, read[i]);
    sandbox_allow_write(s, "/dev/null");
    if (dladdr((const void *)(uintptr_t)&fopen, &libc) && strchr(libc.dli_fname, '/')) {
        char *folder = xstrdup(libc.dli_fname);
        *strrchr(folder, '/') = 0;
        sandbox_allow_read(s, folder); /* where /usr is elsewhere */
        free(folder);
    }
    for (size_t i = 0; runs && i < ARRAY_SIZE(run); i++)
        sandbox_allow_run(s, run[i]);
    char *path = runs && getenv("PATH") ? xstrdup(getenv("PATH")) : NULL, *rest = path;
    for (char *folder; (folder = strsep(&rest, ":"));)
        sandbox_allow_run(s, *folder ? folder : ".");
    free(path);
}

/* Temporary files, and what is kept of tokenizers. */
static void allow_stores(struct sandbox *s)
{
    const char *temporary = getenv("TMPDIR");
    struct buf cache = BUF_INIT;
    struct err ignored;
    sandbox_allow_change(s, temporary && *temporary ? temporary : "/tmp");
    if (program_has_option("model") && cachedir_path(&cache)) {
        directory_make(cache.p, &ignored);
        sandbox_allow_change(s, cache.p);
    }
    buf_release(&cache);
}

void program_sandbox(char *const *operands, bool runs)
{
    const char *wish = getenv("TUNEUTILS_SANDBOX");
    const bool must = wish && !strcmp(wish, "on");
    struct err err;
    bool complete;
    if (wish && !strcmp(wish, "off"))
        return;
    if (wish && *wish && !must && strcmp(wish, "auto") != 0)
        die("TUNEUTILS_SANDBOX: '%s' is none of auto, on, off", wish);
    struct sandbox *s = sandbox_new();
    allow_system(s, runs);
    allow_stores(s);
    program_each_value(allow_value, s);
    for (; *operands; operands++)
        allow_input(s, *operands);
    if (sandbox_enter(s, runs, &complete, &err))
        die("sandbox: %s (TUNEUTILS_SANDBOX=off goes without)", err.msg);
    if (must && !complete)
        die("sandbox: this system can't do all of it (TUNEUTILS_SANDBOX=auto does what it can)");
    sandbox_free(s);
}
